// Package overlay stacks a container's root file system: read-only layers of the image below, a layer for
// what the container writes on top.
//
// It owns the directories of the layers and works, what they have changed (diff, commit), and the limits of
// overlayfs: the length of mount options, whiteouts, a lower layer that is an overlay itself. It may import
// kernel, and not image: layers are directories to it. Step 02 shows the idea (overlay.go).
package overlay
