// Package ocispec writes a bundle's config.json out of what a person asked for and what the image wants:
// flags win over the image's config, and Docker's defaults fill the rest (capabilities, masked paths,
// mounts, seccomp).
//
// It is a pure function of its arguments, tested by golden files without privileges. It may import nothing
// of this tree. The steps have no such file: there the defaults are tables in the code, as step 02's
// filesystems (rootfs.go).
package ocispec
