// What `go mod tidy` is to keep in go.mod: the network policies that the chart has.

//go:build tools

package netpol

import (
	_ "github.com/google/nftables/xt"
	_ "sigs.k8s.io/kube-network-policies/cmd/kube-network-policies/standard"
)
