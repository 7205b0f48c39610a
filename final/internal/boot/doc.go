// Package boot is the executor that people read: /proc/self/exe started again in the new namespaces, on its
// main thread, walks the plan it inherited, call by call.
//
// It is recognised by its argv[0] and a descriptor, in init, before any heavy package is initialised; it
// takes no decisions and parses nothing. It is the reference for the stub in package executor, and stands
// in where that cannot run. It imports next to nothing: whatever it imports, every container start pays
// for. Step 01 shows the idea (child.go).
package boot
