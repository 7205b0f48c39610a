// Package plan turns a config.json into the list of kernel calls that the container side makes, each with
// its arguments, the errors that count as success, the shell command that would do the same, and why.
//
// Building the list is a pure function, spec in and plan out, tested by golden files without privileges;
// "final plan BUNDLE" prints it. What one kernel feature adds to the list is in rootfs, confine, cgroup and
// console, which plan may import, with the packages below them. Step 01's child.go is such a list, written
// as Go code.
package plan
