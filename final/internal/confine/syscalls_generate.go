//go:build ignore

// Writes syscalls_table.go: the names of the system calls with their number in each ABI, from the numbers that
// golang.org/x/sys/unix has. Run it with go generate.
package main

import (
	"fmt"
	"log"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The columns of the table, in the order of the ABIs in abi.go.
const (
	x86_64 = iota
	x86
	x32
	aarch64
	arm
	columns
)

type row [columns]int

// x32Bit marks the numbers of the x32 ABI (asm/unistd.h).
const x32Bit = 0x40000000

// x32Own are the calls that have a number of their own in x32, from 512 on, because their structures hold
// pointers or longs (arch/x86/entry/syscalls/syscall_64.tbl). The list is closed.
var x32Own = strings.Fields(`rt_sigaction rt_sigreturn ioctl readv writev recvfrom sendmsg recvmsg execve ptrace
	rt_sigpending rt_sigtimedwait rt_sigqueueinfo sigaltstack timer_create mq_notify kexec_load waitid
	set_robust_list get_robust_list vmsplice move_pages preadv pwritev rt_tgsigqueueinfo recvmmsg sendmmsg
	process_vm_readv process_vm_writev setsockopt getsockopt io_setup io_submit execveat preadv2 pwritev2`)

// not32 are the calls of x86_64 that x32 has not.
var not32 = strings.Fields(`uselib _sysctl create_module get_kernel_syms query_module nfsservctl set_thread_area
	get_thread_area epoll_ctl_old epoll_wait_old vserver uprobe uretprobe`)

// armPrivate are the calls of arm that its C library makes and the common list has not (asm/unistd.h,
// __ARM_NR_*): without set_tls no program begins.
var armPrivate = map[string]int{
	"breakpoint": 0xf0001, "cacheflush": 0xf0002, "usr26": 0xf0003, "usr32": 0xf0004,
	"set_tls": 0xf0005, "get_tls": 0xf0006,
}

// renamed are calls whose name in golang.org/x/sys/unix is not the kernel's.
var renamed = map[int]map[string]string{
	aarch64: {"fstatat": "newfstatat"},
}

// also are second names of a call, that profiles use.
var also = map[int]map[string]string{
	arm: {"arm_sync_file_range": "sync_file_range2"},
}

func main() {
	table := map[string]*row{}
	set := func(name string, column, number int) {
		if table[name] == nil {
			table[name] = &row{-1, -1, -1, -1, -1}
		}
		table[name][column] = number
	}
	for column, arch := range map[int]string{x86_64: "amd64", x86: "386", aarch64: "arm64", arm: "arm"} {
		for name, number := range numbers(arch) {
			if other, ok := renamed[column][name]; ok {
				name = other
			}
			set(name, column, number)
			if other, ok := also[column][name]; ok {
				set(other, column, number)
			}
			if column == x86_64 && !slices.Contains(not32, name) {
				set(name, x32, number|x32Bit)
			}
		}
	}
	for i, name := range x32Own {
		set(name, x32, 512+i|x32Bit)
	}
	for name, number := range armPrivate {
		set(name, arm, number)
	}
	write(table)
}

// numbers reads a file of constants: "\tSYS_READ   = 0".
func numbers(arch string) map[string]int {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	if err != nil {
		log.Fatal(err)
	}
	source, err := os.ReadFile(strings.TrimSpace(string(dir)) + "/unix/zsysnum_linux_" + arch + ".go")
	if err != nil {
		log.Fatal(err)
	}
	found := map[string]int{}
	for _, match := range regexp.MustCompile(`(?m)^\tSYS_(\w+)\s+= (\d+)`).FindAllStringSubmatch(string(source), -1) {
		if match[1] == "SYSCALL_MASK" || match[1] == "ARCH_SPECIFIC_SYSCALL" { // not calls
			continue
		}
		number, err := strconv.Atoi(match[2])
		if err != nil {
			log.Fatal(err)
		}
		found[strings.ToLower(match[1])] = number
	}
	return found
}

func write(table map[string]*row) {
	var b strings.Builder
	b.WriteString("// Written by syscalls_generate.go. DO NOT EDIT.\n\n//go:build linux\n\npackage confine\n\n" +
		"// calls are the system calls, by name: their numbers in x86_64, x86, x32, aarch64 and arm; -1 for none.\n" +
		"var calls = [...]call{\n")
	for _, name := range slices.Sorted(maps.Keys(table)) {
		n := table[name]
		text := fmt.Sprint(n[x32])
		if n[x32] >= 0 {
			text = fmt.Sprintf("x32Bit | %d", n[x32]&^x32Bit)
		}
		fmt.Fprintf(&b, "\t{%q, [...]int32{%d, %d, %s, %d, %#v}},\n", name, n[x86_64], n[x86], text, n[aarch64], n[arm])
	}
	b.WriteString("}\n")
	const file = "syscalls_table.go"
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		log.Fatal(err)
	}
	if err := exec.Command("gofmt", "-w", file).Run(); err != nil {
		log.Fatal(err)
	}
}
