// Package overlay stacks a container's root file system: read-only layers of the image below, a layer for
// what the container writes on top.
//
// It mounts the stack and knows the limits of overlayfs: the length of mount options, whiteouts, a layer that is on
// an overlay itself. And it reads the upper layer: what has changed (diff), how much that is (ps --size), and the
// archive of it (commit). It may import kernel and tree, and not image: layers are directories to it. Step 02 shows the idea
// (overlay.go).
package overlay
