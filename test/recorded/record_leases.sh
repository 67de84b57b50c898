#!/bin/sh
# Records the lease that another flanneld writes to etcd, one line a network configuration: the
# configuration, the key and the value, with tabs between. recorded_leases_test.cc reads them.
# usage: record_leases.sh FLANNELD >FILE (root; etcd and etcdctl installed)
set -eu
flanneld=$1
[ "${2:-}" = inside ] || exec unshare --net "$0" "$flanneld" inside
folder=$(mktemp -d)
export ETCDCTL_API=3
etcd= daemon=
trap 'kill $etcd $daemon 2>/dev/null; rm -rf "$folder"' EXIT
ip -batch - <<END
link set lo up
link add eth0 type veth peer name eth1
link set eth1 up
addr add 198.18.0.2/24 dev eth0
addr add fd99::2/64 dev eth0 nodad
link set eth0 up
route add default via 198.18.0.1
route add default via fd99::1 dev eth0
END
etcd --data-dir="$folder/etcd" --log-level=error >"$folder/etcd.log" 2>&1 &
etcd=$!
until etcdctl endpoint health >/dev/null 2>&1; do sleep 0.2; done
v4='"Network":"10.5.0.0/16"'
v6='"EnableIPv6":true,"IPv6Network":"fc00:5::/48"'
for backend in vxlan host-gw alloc udp; do
  for families in "$v4" "$v4,$v6" "\"EnableIPv4\":false,$v6"; do
    config="{$families,\"Backend\":{\"Type\":\"$backend\"}}"
    etcdctl del --prefix /coreos.com/network >/dev/null
    etcdctl put /coreos.com/network/config "$config" >/dev/null
    rm -f "$folder/subnet.env"
    "$flanneld" --iface=eth0 --subnet-file="$folder/subnet.env" >"$folder/log" 2>&1 &
    daemon=$!
    sleep 2
    lease=$(etcdctl get --prefix /coreos.com/network/subnets/ | paste -s -d '\t')
    [ -z "$lease" ] || printf '%s\t%s\n' "$config" "$lease"
    kill $daemon 2>/dev/null || true
    wait $daemon || true
    daemon=
  done
done
