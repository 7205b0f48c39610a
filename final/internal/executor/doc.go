// Package executor runs a plan inside the new namespaces without Go: a static ELF program of a few dozen
// instructions that the parent lays out in a sealed memfd, with the plan beside it as data.
//
// One thread, no allocation, nothing that the container could overwrite. The first call that fails is
// reported by its index and errno; the words are the parent's. Its instructions are Go assembler, one file
// per architecture, every line commented. A test runs each plan through this and through boot and wants the
// same result. It may import kernel. No step has one; step 01's child.go shows the work it does.
package executor
