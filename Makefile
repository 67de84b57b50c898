# The commands of the README. Each says what it does; builds go to build/<preset>.
.DEFAULT_GOAL := help
.PHONY: help newer-etcd kube-tools demo build-test test build-test-asan test-asan test-release test-e2e test-arm64 soak fuzz lint release release-arm64 image bench bench-etcd bench-kube bench-firewall bench-cni install install-cni uninstall uninstall-cni clean

PREFIX ?= /usr/local
CNI_BIN ?= /opt/cni/bin
BUILD ?= build/release
FUZZ_SECONDS ?= 20
SEEDS ?= 5000
PEERS ?= 0,1000,5000,10000,20000
NODES ?= 0,1000,5000,15000
FIRST_SEED ?= 1000
NATIVE := $(shell dpkg --print-architecture 2>/dev/null)
ARCHS ?= $(NATIVE)

help:
	@echo "make demo       build, and show a three-node overlay on this machine (root)"
	@echo "make test       build, and run every test (root)"
	@echo "make test-asan  the same with AddressSanitizer and UndefinedBehaviorSanitizer"
	@echo "make test-release  the tests that run our programs, with the optimised ones"
	@echo "make kube-tools  what the tests with Kubernetes need, built once in ten minutes"
	@echo "make test-e2e   a Kubernetes cluster on this machine, with the image and the manifest (root)"
	@echo "make test-arm64  the image on a kernel for arm64, in qemu"
	@echo "make soak       what happens to nodes, drawn from SEEDS seeds (5000), FIRST_SEED on"
	@echo "make fuzz       fuzz every parser of foreign bytes, FUZZ_SECONDS each (20)"
	@echo "make lint       clang-format and clang-tidy, warnings as errors"
	@echo "make release    build build/release/bin/flanneld, flannelctl and flannel"
	@echo "make image      build build/image/image.tar, an OCI image, and the same as a layout; ARCHS=\"amd64 arm64\": of both"
	@echo "make bench      measure (needs root; see docs/developing.md)"
	@echo "make bench-etcd  the same with leases in etcd; FLANNELD_REFERENCE=PATH: beside another flanneld"
	@echo "make bench-kube  the same with leases in the Nodes of a kube-apiserver"
	@echo "make bench-firewall  firewall rules: what they cost, how soon they are back; the same"
	@echo "make bench-cni  the CNI plugin; CNI_REFERENCE=FOLDER: beside the plugins there"
	@echo "make install    copy the release and a systemd unit to PREFIX ($(PREFIX))"
	@echo "make install-cni  the CNI plugin to CNI_BIN ($(CNI_BIN)), and by the names of plugins missing there"
	@echo "make uninstall uninstall-cni  remove them, and nothing else"
	@echo "make clean      remove build/"

release:
	@scripts/install-dependencies build
	@echo "== Building the release (some minutes the first time)"
	@cmake --preset release >/dev/null
	@cmake --build --preset release --target flanneld flannelctl flannel

# On another machine, with a compiler and libraries for it.
release-arm64:
	@scripts/install-dependencies build arm64
	@echo "== Building the release for arm64"
	@scripts/sysroot arm64 build/sysroot-arm64
	@cmake --preset release-arm64 >/dev/null
	@cmake --build --preset release-arm64 --target flanneld flannelctl flannel

# The release for an architecture: its target's name, and its folder's.
release_for = release$(if $(filter-out $(NATIVE),$(1)),-$(1))

image: $(foreach arch,$(ARCHS),$(call release_for,$(arch)))
	@scripts/install-dependencies image
	@scripts/image build/image $(foreach arch,$(ARCHS),$(arch)=build/$(call release_for,$(arch))/bin)

demo: release
	@echo "== A three-node vxlan overlay in network namespaces of this machine"
	@$(BUILD)/bin/flannelctl lab demo

# What is tested against, beside Debian's etcd. Where it cannot be had its tests say so, and fail in CI.
newer-etcd:
	@scripts/install-dependencies build test
	@echo "== A newer etcd for the tests (built once, a minute)"
	@scripts/build-etcd || [ "$$CI" != true ]

# What tests with Kubernetes need takes ten minutes to build, once. Without it they are skipped, and fail in CI.
kube-tools:
	@scripts/install-dependencies test e2e
	@echo "== Kubernetes and containerd for the tests (built once, ten minutes)"
	@scripts/build-kube cluster runtime chart >/dev/null

ifeq ($(CI),true)
test test-asan: kube-tools
test: release-arm64
endif

build-test:
	@scripts/install-dependencies build test
	@echo "== Building with tests (some minutes the first time)"
	@cmake --preset dev >/dev/null
	@cmake --build --preset dev

test: newer-etcd build-test
	@echo "== Running every test"
	@ctest --preset dev

build-test-asan:
	@scripts/install-dependencies build test
	@echo "== Building with AddressSanitizer and UndefinedBehaviorSanitizer"
	@cmake --preset asan >/dev/null
	@cmake --build --preset asan

test-asan: newer-etcd build-test-asan
	@ctest --preset asan

# The programs as users have them, optimised, under the tests that run them.
test-release: release
	@scripts/install-dependencies build test
	@cmake --preset dev >/dev/null
	@cmake --build --preset dev --target flanneld_test lab_test overlay_test cni_plugin_test
	@FLANNEL_PROGRAMS=$(CURDIR)/$(BUILD)/bin ctest --preset dev -L programs

test-e2e: image newer-etcd kube-tools
	@test/e2e/run test
	@test/e2e/run test --dual-stack --nftables
	@test/e2e/run test --legacy --outage
	@scripts/build-kube helm netpol >/dev/null
	@test/e2e/run test --chart --dual-stack

test-arm64:
	@scripts/install-dependencies arm64-kernel
	@$(MAKE) image ARCHS="amd64 arm64"
	@test/arm64/run build/image/layout

soak:
	@scripts/install-dependencies build test
	@cmake --preset dev >/dev/null
	@cmake --build --preset dev --target state_space_test
	@FLANNEL_SEEDS=$(SEEDS) FLANNEL_FIRST_SEED=$(FIRST_SEED) scripts/soak build/dev

fuzz:
	@scripts/install-dependencies build test
	@cmake --preset fuzz >/dev/null
	@cmake --build build/fuzz --target $$(ls test/fuzz/*.cc | sed 's|test/fuzz/|fuzz_|; s|\.cc||')
	@scripts/fuzz build/fuzz $(FUZZ_SECONDS)

lint:
	@scripts/install-dependencies build lint
	@cmake --preset lint >/dev/null
	@scripts/lint build/lint

bench: release
	@scripts/install-dependencies bench
	@cmake --build --preset release --target kernel_floor fill_store
	@test/bench/run build/release/bin

bench-etcd: release
	@scripts/install-dependencies bench
	@python3 test/bench/etcd.py $(PEERS) flannel-cpp=build/release/bin/flanneld $(if $(FLANNELD_REFERENCE),flannel=$(FLANNELD_REFERENCE))

bench-kube: release newer-etcd kube-tools
	@scripts/install-dependencies bench
	@FLANNEL_ETCD=$$(scripts/build-etcd) python3 test/bench/kube.py $$(scripts/build-kube cluster)/kube $(NODES) flannel-cpp=build/release/bin/flanneld $(if $(FLANNELD_REFERENCE),flannel=$(FLANNELD_REFERENCE))

bench-firewall: release
	@scripts/install-dependencies bench
	@python3 test/bench/firewall.py build/release/bin/flannelctl flannel-cpp=build/release/bin/flanneld $(if $(FLANNELD_REFERENCE),flannel=$(FLANNELD_REFERENCE))

bench-cni: release
	@scripts/install-dependencies bench test
	@mkdir -p build/release/cni
	@for name in flannel bridge host-local portmap loopback; do ln -sf ../bin/flannel build/release/cni/$$name; done
	@python3 test/bench/cni.py flannel-cpp=build/release/cni $(if $(CNI_REFERENCE),go=$(CNI_REFERENCE))

install: release
	install -D -m 0755 $(BUILD)/bin/flanneld $(DESTDIR)$(PREFIX)/bin/flanneld
	install -D -m 0755 $(BUILD)/bin/flannelctl $(DESTDIR)$(PREFIX)/bin/flannelctl
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|/usr/local|$(PREFIX)|' packaging/flanneld.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/flanneld.service

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/flanneld $(DESTDIR)$(PREFIX)/bin/flannelctl
	rm -f $(DESTDIR)$(PREFIX)/lib/systemd/system/flanneld.service

# A file that is replaced is never half there: a runtime may be about to run it.
install-cni: release
	install -D -m 0755 $(BUILD)/bin/flannel $(DESTDIR)$(CNI_BIN)/.flannel.new
	mv -f $(DESTDIR)$(CNI_BIN)/.flannel.new $(DESTDIR)$(CNI_BIN)/flannel
	for name in bridge host-local loopback portmap; do \
	  [ -e $(DESTDIR)$(CNI_BIN)/$$name ] || ln -s flannel $(DESTDIR)$(CNI_BIN)/$$name; \
	done

# The plugins of others by these names are files, or links elsewhere.
uninstall-cni:
	for name in bridge host-local loopback portmap; do \
	  [ "$$(readlink $(DESTDIR)$(CNI_BIN)/$$name)" != flannel ] || rm -f $(DESTDIR)$(CNI_BIN)/$$name; \
	done
	rm -f $(DESTDIR)$(CNI_BIN)/flannel

clean:
	rm -rf build
