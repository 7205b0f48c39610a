// Package engine is containers as Docker's users know them: run, exec, logs, stop, restart, rm, by name.
//
// It turns flags and an image into a bundle and drives the packages below: image and overlay for the root
// file system, network for the connection, runtime for the life cycle; and it owns what lasts longer than one
// command, which is names, logs, restart policies and the monitor process that stays with a container. It
// may import every package below it, and knows nothing of the command line or the web page above. Each of
// the steps is a small part of it; step 05 comes nearest to the whole.
package engine
