// Package engines has the tests that real engines drive an OCI runtime in: Podman, containerd and Docker as
// the distribution packages them, each with a runtime of one's choice.
//
//	go test ./final/engines                    this tree's final, as it is built for engines
//	RUNTIME=runc go test ./final/engines       another: runc, crun, a path, or whole, which is all of final
//	go test ./final/engines -run Podman/limits one script
//	go run ./vagrant/microvm ./final/engines   cgroup v2: what it has a part in; groups of systemd's, of a user's
//
// What an engine must be able to do with a runtime is told in the scripts under testdata, one directory per
// engine, in the words that a person would type (testscript; commands_test.go has the words that are ours).
// TestKubernetes speaks to containerd as kubelet does, and each sentence for runc and for the runtime: what is
// asked for has to look the same, and the same has to happen.
// TestDifference needs no engine: it gives the same bundles to crun, runc and RUNTIME, and compares the
// containers from inside and from the host.
//
// All of it happens in a world of its own (world_test.go): new namespaces, in which the machine's files can
// only be read, and a cgroup in every hierarchy, which is the root of all that is seen there. No registry is
// asked: the image is the lab, made by `final rootfs`.
package engines
