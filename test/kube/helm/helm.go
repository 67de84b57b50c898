// What `go mod tidy` is to keep in go.mod: Helm as users run it.

//go:build tools

package helm

import (
	_ "helm.sh/helm/v3/cmd/helm"
)
