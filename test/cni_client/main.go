// A container runtime's part of CNI: libcni itself, for one verb.
//
// usage: cni_client VERB CONFLIST CONTAINER NETNS IFNAME PLUGINS CACHE
// VERB is add, check, del, gc or status. Prints the result of add; what fails goes to standard error.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
)

func run(words []string) error {
	list, err := libcni.ConfListFromFile(words[1])
	if err != nil {
		return err
	}
	cni := libcni.NewCNIConfigWithCacheDir([]string{words[5]}, words[6], nil)
	container := &libcni.RuntimeConf{ContainerID: words[2], NetNS: words[3], IfName: words[4]}
	ctx := context.Background()
	switch words[0] {
	case "add":
		result, err := cni.AddNetworkList(ctx, list, container)
		if err != nil {
			return err
		}
		return result.PrintTo(os.Stdout)
	case "check":
		return cni.CheckNetworkList(ctx, list, container)
	case "del":
		return cni.DelNetworkList(ctx, list, container)
	case "gc":
		valid := []types.GCAttachment{{ContainerID: container.ContainerID, IfName: container.IfName}}
		return cni.GCNetworkList(ctx, list, &libcni.GCArgs{ValidAttachments: valid})
	case "status":
		return cni.GetStatusNetworkList(ctx, list)
	}
	return fmt.Errorf("unknown verb %q", words[0])
}

func main() {
	if len(os.Args) != 8 {
		fmt.Fprintln(os.Stderr, "usage: cni_client VERB CONFLIST CONTAINER NETNS IFNAME PLUGINS CACHE")
		os.Exit(2)
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
