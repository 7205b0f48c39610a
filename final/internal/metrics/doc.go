// Package metrics reads what a container uses: processor time and throttling, memory, processes, block and
// network traffic, pressure; as numbers, and for Prometheus under the names that existing dashboards know.
//
// Sources are the cgroup files, v2 and v1, and the counters of the container's network links. A file that
// vanishes while it is read belongs to a container that has just ended, and is no error. It may import
// runtime and below. Step 05 shows the idea (metrics.go), with the text format written by hand.
package metrics
