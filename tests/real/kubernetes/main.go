// A Kubernetes control plane for the tests in one binary: the upstream commands as they are, chosen by the first
// argument, and an etcd whose data are thrown away.
package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("etcd DIR CLIENT-URL PEER-URL | kube-apiserver FLAGS | kube-controller-manager FLAGS"))
	}
	// The commands read os.Args by themselves.
	what := os.Args[1]
	os.Args = append([]string{what}, os.Args[2:]...)
	switch what {
	case "etcd":
		fail(etcd(os.Args[1:]))
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(controllers.NewControllerManagerCommand()))
	default:
		fail(fmt.Errorf("%q is none of etcd, kube-apiserver, kube-controller-manager", what))
	}
}

// etcd serves until it is killed; nothing is flushed to the disk, for nothing is to be kept.
func etcd(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("etcd DIR CLIENT-URL PEER-URL")
	}
	client, err := url.Parse(args[1])
	if err != nil {
		return err
	}
	peer, err := url.Parse(args[2])
	if err != nil {
		return err
	}
	config := embed.NewConfig()
	config.Dir = filepath.Join(args[0], "etcd")
	config.LogLevel = "warn"
	config.UnsafeNoFsync = true
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{*peer}, []url.URL{*peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	select {
	case <-server.Server.ReadyNotify():
	case <-time.After(time.Minute):
		return fmt.Errorf("etcd was not ready within a minute")
	}
	return <-server.Err()
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
