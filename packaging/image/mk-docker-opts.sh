#!/bin/sh
# Writes flannel's subnet and MTU as options of Docker's daemon, for the environment file of its unit.
usage() {
  cat >&2 <<END
usage: $0 [-f SUBNET-FILE] [-d DOCKER-FILE] [-i] [-c] [-m] [-k NAME]
  -f  what flanneld writes (/run/flannel/subnet.env)
  -d  what is written (/run/docker_opts.env)
  -i  each option as a variable of its own, DOCKER_OPT_MTU="--mtu=1450"
  -c  all options in one variable; both forms where neither is asked for
  -k  name of that variable (DOCKER_OPTS); what it is in the environment stays in front
  -m  without --ip-masq
END
  exit 1
}

subnet_file=/run/flannel/subnet.env
docker_file=/run/docker_opts.env
all=DOCKER_OPTS
want_each=false
want_all=false
want_masq=true
while getopts f:d:ick:mh option; do
  case $option in
    f) subnet_file=$OPTARG ;;
    d) docker_file=$OPTARG ;;
    i) want_each=true ;;
    c) want_all=true ;;
    k) all=$OPTARG ;;
    m) want_masq=false ;;
    *) usage ;;
  esac
done
$want_each || $want_all || { want_each=true; want_all=true; }
case $all in
  '' | [0-9]* | *[!A-Za-z0-9_]*) usage ;;
esac

# A name without a slash would be looked for in PATH.
case $subnet_file in
  */*) ;;
  *) subnet_file=./$subnet_file ;;
esac
[ ! -f "$subnet_file" ] || . "$subnet_file"

[ -z "$FLANNEL_SUBNET" ] || DOCKER_OPT_BIP=--bip=$FLANNEL_SUBNET
[ -z "$FLANNEL_MTU" ] || DOCKER_OPT_MTU=--mtu=$FLANNEL_MTU
# Who masquerades: flanneld, or Docker.
if $want_masq && [ -n "$FLANNEL_IPMASQ" ]; then
  case $FLANNEL_IPMASQ in
    true) DOCKER_OPT_IPMASQ=--ip-masq=false ;;
    false) DOCKER_OPT_IPMASQ=--ip-masq=true ;;
    *)
      echo "Invalid value of FLANNEL_IPMASQ: $FLANNEL_IPMASQ" >&2
      exit 1
      ;;
  esac
fi

# With those of the environment, in the order of their names.
names=$(set | sed -n 's/^\(DOCKER_OPT_[A-Za-z0-9_]*\)=.*/\1/p' | sort -u)
eval "line=\$$all"
line=${line:+$line }
{
  for name in $names; do
    eval "value=\$$name"
    ! $want_each || printf '%s="%s"\n' "$name" "$value"
    line="$line $value"
  done
  ! $want_all || printf '%s="%s"\n' "$all" "$line"
} >"$docker_file" || exit 1

# Docker's bridge would be beside a route that leads the subnet elsewhere.
if [ -n "$FLANNEL_SUBNET" ]; then
  address=${FLANNEL_SUBNET%/*}
  subnet=${address%.*}.$((${address##*.} - 1))/${FLANNEL_SUBNET#*/}
  taken=$(ip route show | grep -F "$subnet " | grep ' via ')
  if [ -n "$taken" ]; then
    echo "Your routing table already contains the subnet: $taken" >&2
    exit 1
  fi
fi
