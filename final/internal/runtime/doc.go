// Package runtime is the OCI life cycle on a bundle: create, start, state, kill, delete, exec, pause,
// update, events, as containerd, Podman and CRI-O ask for them.
//
// It owns the state directory (one folder per container: state.json, written by rename, a lock, exec.fifo)
// and the handshake with the container side; it asks plan for the list of kernel calls and executor to run
// it. These paths are hot: no package with a costly initialisation, no helper program. It may import plan
// and below. Step 01 shows the idea (run.go and child.go).
package runtime
