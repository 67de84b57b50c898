// The image: what it is made of, that it is the same each time, and that its programs run in it.
#include <elf.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/directory_fixture.h"
#include "base/file.h"
#include "test/support/needs.h"
#include "test/support/shell.h"

namespace flannel {
namespace {

namespace json = boost::json;

// Programs of the release for arm64 (make release-arm64).
const std::string kArm64 = FLANNEL_SOURCE_DIR "/build/release-arm64/bin";

bool has_arm64() {
  return std::filesystem::exists(kArm64 + "/flannel");
}

class Image : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = std::make_unique<TestDirectory>();
    shell("mkdir " + file("bin") +
          " && cd " FLANNEL_BINARY_DIR
          "/bin && for name in flanneld flannelctl flannel; do llvm-strip-19 -o " +
          file("bin") + "/$name $name; done");
    built_ = build("first");
    if (built_.status == 0) {
      unpack("root", 0);
      if (has_arm64()) {
        unpack("arm64", 1);
      }
    }
  }
  static void TearDownTestSuite() { directory_.reset(); }
  void SetUp() override {
    ROOT_OR_SKIP();
    NEEDS(built_.status == 0, "no image, for which apt and Python are needed: " + built_.err);
  }

  static std::string file(const std::string& name) { return directory_->file(name); }
  static ProcessOutput build(const std::string& to) {
    std::vector<std::string> words = {file(to), "amd64=" + file("bin")};
    if (has_arm64()) {
      words.push_back("arm64=" + kArm64);
    }
    return run_process(FLANNEL_SOURCE_DIR "/scripts/image", words, "");
  }
  // A file of the image by its descriptor.
  static json::value blob(const json::value& descriptor) {
    const std::string digest(descriptor.at("digest").as_string());
    return json::parse(read_file(path_of(digest)).value());
  }
  static std::string path_of(const std::string& digest) {
    return file("first/layout/blobs/sha256/") + digest.substr(digest.find(':') + 1);
  }
  // The file of the layer that is the image of the architecture at this place.
  static std::string layer(std::size_t place) {
    const json::value top = json::parse(read_file(file("first/layout/index.json")).value());
    const json::value index = blob(top.at("manifests").at(0));
    const json::value manifest = blob(index.at("manifests").at(place));
    return path_of(std::string(manifest.at("layers").at(0).at("digest").as_string()));
  }
  static void unpack(const std::string& to, std::size_t place) {
    shell("mkdir " + file(to) + " && tar -xzf " + layer(place) + " -C " + file(to));
  }
  // Runs it in the image, in a network namespace of its own, with the kernel's own file systems.
  static ProcessOutput run(const std::string& command) {
    const std::string script = R"(
        mount -t proc proc "$0/proc" && mount --bind /dev "$0/dev" && exec chroot "$0" /bin/sh -c "$1")";
    return run_process("/usr/bin/env",
                       {"-i", "PATH=/opt/bin:/usr/sbin:/usr/bin:/sbin:/bin", "unshare", "-nm",
                        "/bin/sh", "-c", script, file("root"), command},
                       "");
  }
  static std::string output(const std::string& command) {
    const ProcessOutput result = run(command);
    EXPECT_EQ(result.status, 0) << command << ": " << result.err;
    return result.out;
  }

  static std::unique_ptr<TestDirectory> directory_;
  static ProcessOutput built_;
};
std::unique_ptr<TestDirectory> Image::directory_;
ProcessOutput Image::built_;

TEST_F(Image, IsTheSameEachTime) {
  const ProcessOutput again = build("second");
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(shell("cd " + file("first") + " && find . -type f -exec sha256sum {} + | sort"),
            shell("cd " + file("second") + " && find . -type f -exec sha256sum {} + | sort"));
}

TEST_F(Image, RunsEveryProgram) {
#if !__has_feature(address_sanitizer)
  EXPECT_NE(output("flanneld --version 2>&1").find(FLANNEL_VERSION), std::string::npos);
  EXPECT_NE(output("flannelctl version 2>&1").find(FLANNEL_VERSION), std::string::npos);
  EXPECT_NE(output("CNI_COMMAND=VERSION /flannel </dev/null").find("supportedVersions"),
            std::string::npos);
#endif
  EXPECT_NE(output("nft --version").find("nftables"), std::string::npos);
  EXPECT_EQ(output("nft add table ip t && nft list tables"), "table ip t\n");
  for (const char* kind : {"nft", "legacy"}) {
    for (const char* program : {"iptables", "ip6tables"}) {
      const std::string name = fmt::format("{}-{}", program, kind);
      const std::string rules = fmt::format(
          "{0} -t nat -A POSTROUTING -m comment --comment x -m mark --mark 1 -j MASQUERADE "
          "--random-fully && {0}-save | {0}-restore && {0}-save -t nat",
          name);
      EXPECT_NE(output(rules).find("-j MASQUERADE --random-fully"), std::string::npos) << name;
    }
  }
  EXPECT_NE(output("head -n 1 /etc/ssl/certs/ca-certificates.crt").find("BEGIN CERTIFICATE"),
            std::string::npos);
}

// Of an ELF file: what it runs on. Of any other EM_NONE.
unsigned machine_of(const std::filesystem::path& path) {
  Elf64_Ehdr header{};
  std::ifstream(path).read(reinterpret_cast<char*>(&header), sizeof header);
  return std::string_view(reinterpret_cast<const char*>(header.e_ident), SELFMAG) == ELFMAG
             ? header.e_machine
             : EM_NONE;
}

TEST_F(Image, IsForArm64Too) {
  NEEDS(has_arm64(), "no programs for arm64: make release-arm64");
  NEEDS(succeeds("command -v qemu-aarch64-static"), "no qemu-user-static");
  std::size_t programs = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(file("arm64"))) {
    const unsigned machine = entry.is_regular_file() ? machine_of(entry.path()) : EM_NONE;
    EXPECT_TRUE(machine == EM_NONE || machine == EM_AARCH64) << entry.path();
    programs += machine == EM_AARCH64 ? 1 : 0;
  }
  EXPECT_GT(programs, 100U);  // with the extensions of iptables
  EXPECT_LT(std::filesystem::file_size(layer(1)), 25'000'000U);
  shell("cp $(command -v qemu-aarch64-static) " + file("arm64/qemu"));
  const std::pair<const char*, const char*> cases[] = {
      {"/opt/bin/flanneld --version", FLANNEL_VERSION},
      {"/opt/bin/flannelctl version", FLANNEL_VERSION},
      {"/flannel", "supportedVersions"},
      // qemu has no netlink for these, but the linker of their libraries.
      {"/lib/ld-linux-aarch64.so.1 --list /usr/sbin/nft", "libnftables.so.1 (0x"},
      {"/lib/ld-linux-aarch64.so.1 --list /usr/sbin/iptables-nft", "libnftnl.so.11 (0x"},
      {"/usr/sbin/ip6tables-legacy --version", "(legacy)"},
      {"/bin/sh -c 'echo $0 runs' it", "it runs"},
      {"/bin/cp -f /flannel /tmp/flannel", ""},
      {"/tmp/flannel", "supportedVersions"},
  };
  for (const auto& [command, text] : cases) {
    const std::string in_image = "chroot " + file("arm64") + " /qemu " + command;
    const std::string said = shell("CNI_COMMAND=VERSION " + in_image + " </dev/null 2>&1");
    EXPECT_TRUE(said.contains(text) && !said.contains("not found")) << command << ": " << said;
  }
}

// What manifests of others call: kubespray, Talos, kops, minikube, Magnum.
TEST_F(Image, HasWhatOtherManifestsCall) {
  EXPECT_EQ(
      output("mkdir -p /tmp/a && cp -f /flannel /tmp/a/flannel && cmp /flannel /tmp/a/flannel "
             "2>/dev/null || busybox cmp /flannel /tmp/a/flannel; ls /tmp/a; rm -r /tmp/a"),
      "flannel\n");
  EXPECT_EQ(output("sh -c 'echo $0' x"), "x\n");
}

TEST_F(Image, UsesTheKindOfIptablesThatKubeletUses) {
  const std::string hint =
      " -t mangle -N KUBE-IPTABLES-HINT; iptables --version; ip6tables-save --version; "
      "iptables-restore --version";
  EXPECT_EQ(output("iptables-legacy" + hint).find("nf_tables"), std::string::npos);
  EXPECT_EQ(output("ip6tables-legacy" + hint).find("nf_tables"), std::string::npos);
  EXPECT_EQ(output("iptables-nft" + hint).find("legacy"), std::string::npos);
  EXPECT_EQ(output("ip6tables-nft" + hint).find("legacy"), std::string::npos);
  // Rules of others are no hint, and asking makes no tables.
  EXPECT_EQ(
      output("iptables-legacy -t nat -N OTHERS; iptables --version; cat /proc/net/ip_tables_names"),
      "iptables v1.8.9 (nf_tables)\nnat\n");
}

class InstallConf : public testing::Test {
 protected:
  ProcessOutput install(const std::vector<std::string>& words) const {
    return run_process(FLANNEL_SOURCE_DIR "/packaging/image/install-conf", words, "");
  }
  std::string file(const std::string& name) const { return directory.file(name); }

  TestDirectory directory;
};

TEST_F(InstallConf, ReplacesAFileAsAWholeWithItsMode) {
  shell("cd " + directory.path().string() + " && echo new >a && chmod 0751 a && echo old >b");
  const ProcessOutput done = install({file("a"), file("b")});
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(shell("cat " + file("b") + "; stat -c %a " + file("b")), "new\n751\n");
  EXPECT_EQ(directory.count(), 2U);
}

// As the CNI plugin is, in a pod's start.
TEST_F(InstallConf, ReplacesAProgramThatRuns) {
  shell("cp /bin/sleep " + file("b"));
  Program running({.path = file("b"), .arguments = {"100"}});
  EXPECT_EQ(install({"/bin/true", file("b")}).status, 0);
  EXPECT_TRUE(succeeds(file("b")));
}

TEST_F(InstallConf, SaysWhatItCannotDoAndLeavesNothing) {
  EXPECT_EQ(install({}).status, 1);
  EXPECT_EQ(install({"a", "b", "c"}).status, 1);
  shell("echo old >" + file("b") + "; mkdir " + file("folder"));
  for (const auto& [from, to] : {std::pair{"none", "b"}, {"b", "none/b"}, {"b", "folder"}}) {
    const ProcessOutput failed = install({file(from), file(to)});
    EXPECT_EQ(failed.status, 1) << from << to;
    EXPECT_TRUE(failed.err.starts_with("error installing \"" + file(from) + "\": ")) << failed.err;
  }
  EXPECT_EQ(directory.count(), 2U);
  EXPECT_EQ(shell("ls -A " + file("folder")), "");
}

TEST_F(InstallConf, OfTheCniPluginMakesThoseThatAreMissing) {
  shell("cd " + directory.path().string() +
        " && mkdir bin && echo mine >bin/bridge && ln -s none bin/portmap");
  EXPECT_EQ(shell("PLUGIN=/bin/true " FLANNEL_SOURCE_DIR "/packaging/image/install-cni " +
                  file("bin") + " && cd " + file("bin") +
                  " && cat bridge && readlink host-local loopback portmap && ./loopback"),
            "mine\nflannel\nflannel\nflannel\n");
  const ProcessOutput failed =
      run_process(FLANNEL_SOURCE_DIR "/packaging/image/install-cni", {file("none")}, "");
  EXPECT_EQ(failed.status, 1);
}

class MkDockerOpts : public testing::Test {
 protected:
  // What it writes for this subnet.env.
  ProcessOutput make(const std::string& words, const std::string& variables = "") const {
    return run_process("/bin/sh",
                       {"-c", "cd " + directory.path().string() + " && " + variables +
                                  " unshare -n " FLANNEL_SOURCE_DIR
                                  "/packaging/image/mk-docker-opts.sh -f env -d out " +
                                  words + " && cat out"},
                       "");
  }
  void write(const std::string& text) const {
    ASSERT_TRUE(create_file(directory.file("env"), text, 0600));
  }

  TestDirectory directory;
};

TEST_F(MkDockerOpts, WritesWhatTheReferencesWrites) {
  ROOT_OR_SKIP();
  write(
      "FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.74.1/24\nFLANNEL_MTU=1472\n"
      "FLANNEL_IPMASQ=false\n");
  const std::string bip = "DOCKER_OPT_BIP=\"--bip=10.1.74.1/24\"\n";
  const std::string masq = "DOCKER_OPT_IPMASQ=\"--ip-masq=true\"\n";
  const std::string mtu = "DOCKER_OPT_MTU=\"--mtu=1472\"\n";
  const std::string all = "=\" --bip=10.1.74.1/24 --ip-masq=true --mtu=1472\"\n";
  EXPECT_EQ(make("").out, bip + masq + mtu + "DOCKER_OPTS" + all);
  EXPECT_EQ(make("-i").out, bip + masq + mtu);
  EXPECT_EQ(make("-c").out, "DOCKER_OPTS" + all);
  EXPECT_EQ(make("-k CUSTOM").out, bip + masq + mtu + "CUSTOM" + all);
  EXPECT_EQ(make("-m").out, bip + mtu + "DOCKER_OPTS=\" --bip=10.1.74.1/24 --mtu=1472\"\n");
  EXPECT_EQ(make("-c", "DOCKER_OPTS=--foo DOCKER_OPT_A='--a=b c'").out,
            "DOCKER_OPTS=\"--foo  --a=b c --bip=10.1.74.1/24 --ip-masq=true --mtu=1472\"\n");
}

TEST_F(MkDockerOpts, RefusesWhatItCannotUse) {
  ROOT_OR_SKIP();
  EXPECT_EQ(make("").out, "DOCKER_OPTS=\"\"\n");  // no subnet file yet
  EXPECT_EQ(make("-h").status, 1);
  EXPECT_EQ(make("-x").status, 1);
  write("FLANNEL_IPMASQ=maybe\n");
  const ProcessOutput unclear = make("");
  EXPECT_EQ(unclear.status, 1);
  EXPECT_NE(unclear.err.find("Invalid value of FLANNEL_IPMASQ: maybe"), std::string::npos);
}

TEST_F(MkDockerOpts, SaysWhereTheSubnetIsRoutedElsewhere) {
  ROOT_OR_SKIP();
  write("FLANNEL_SUBNET=10.1.74.1/24\n");
  const ProcessOutput taken = run_process(
      "/usr/bin/unshare",
      {"-n", "/bin/sh", "-c",
       "cd " + directory.path().string() +
           " && ip link add eth0 type veth peer name eth1 && ip addr add 198.18.0.1/24 dev eth0 && "
           "ip link set eth0 up && ip route add 10.1.74.0/24 via 198.18.0.2 && " FLANNEL_SOURCE_DIR
           "/packaging/image/mk-docker-opts.sh -f env -d out"},
      "");
  EXPECT_EQ(taken.status, 1);
  EXPECT_NE(taken.err.find("Your routing table already contains the subnet"), std::string::npos);
}

}  // namespace
}  // namespace flannel
