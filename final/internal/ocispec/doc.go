// Package ocispec writes a bundle's config.json out of what a person asked for and what the image wants:
// flags win over the image's config, and Docker's defaults fill the rest (capabilities, masked paths,
// mounts, seccomp).
//
// Everything in it is a pure function of its arguments: [Options] are what a person asked for, and the Parse
// functions read the flags that make them; [Config] is the image's; [Container] and [Host] are what the caller
// has found out. [Options.Over] merges the first two, and [Spec] makes config.json of all. It is tested by golden
// files without privileges. It may import nothing of this tree. The steps have no such file: there the defaults
// are tables in the code, as step 02's filesystems (rootfs.go).
package ocispec
