// Package metrics reads what a container uses: processor time and throttling, memory, processes, block and
// network traffic, pressure; as numbers, and for Prometheus under the names that existing dashboards know.
//
// Sources are the cgroup files, v2 and v1, and the counters of the container's network links; sources.go has
// which file is behind which figure. A file that vanishes while it is read belongs to a container that has
// just ended, and is no error. It may import runtime and below, and knows no engine: whoever has containers
// gives it a list of Targets. Step 05 shows the idea (metrics.go).
//
//	figures.go    the figures, their units
//	reader.go     reads those of many containers, again and again
//	cpu.go memory.go pids.go io.go network.go pressure.go     one kind of figure each
//	sources.go    which file says what
//	families.go   the figures as Prometheus knows them
//	exposition.go the two text formats
//	exporter.go   the server
//	watch.go      what happens to containers, as it happens
package metrics
