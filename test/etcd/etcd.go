// What `go mod tidy` is to keep in go.mod: the etcd that scripts/build-etcd makes for the tests.

//go:build tools

package etcd

import _ "go.etcd.io/etcd/server/v3"
