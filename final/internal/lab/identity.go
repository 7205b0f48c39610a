//go:build linux

package lab

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

var identityCommands = []command{
	{"id", "print user and groups: id [-u | -g | -G] [-n] [USER]", runID},
	{"whoami", "print the user's name", runWhoami},
	{"hostname", "print or set the host's name: hostname [NAME]", runHostname},
	{"uname", "print what system this is: uname [-asnrvmo]", runUname},
	{"uptime", "print how long the kernel has been up", runUptime},
	{"free", "print how much memory is free: free [-bkmgh]", runFree},
	{"nproc", "print the number of processors to use", runNproc},
	{"date", "print the time: date [-u] [+FORMAT]", runDate},
}

// accounts reads lines such as "root:x:0:0:root:/root:/bin/sh" of passwd(5) or group(5) and maps the third field
// to the first. By hand: with cgo os/user would ask the C library, which looks for plug-ins of the host.
func accounts(path string) map[int]string {
	names := map[int]string{}
	text, err := os.ReadFile(path)
	if err != nil {
		return names // numbers do, then
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) < 3 {
			continue
		}
		if id, err := strconv.Atoi(fields[2]); err == nil {
			if _, taken := names[id]; !taken {
				names[id] = fields[0]
			}
		}
	}
	return names
}

var userNames, groupNames map[int]string

func userName(uid int) string {
	if userNames == nil {
		userNames = accounts("/etc/passwd")
	}
	return nameOr(userNames, uid)
}

func groupName(gid int) string {
	if groupNames == nil {
		groupNames = accounts("/etc/group")
	}
	return nameOr(groupNames, gid)
}

func nameOr(names map[int]string, id int) string {
	if name, ok := names[id]; ok {
		return name
	}
	return strconv.Itoa(id)
}

// findID is the other direction: a name or a number.
func findID(path, name string) (int, error) {
	if id, err := strconv.Atoi(name); err == nil {
		return id, nil
	}
	for id, n := range accounts(path) {
		if n == name {
			return id, nil
		}
	}
	return 0, fmt.Errorf("%s: not in %s", name, path)
}

func runID(c *call) error {
	o, err := c.options("ugGnr")
	if err != nil {
		return err
	}
	uid, gid := os.Geteuid(), os.Getegid()
	groups, err := os.Getgroups()
	if err != nil {
		return fmt.Errorf("getgroups: %w", err)
	}
	if len(o.rest) > 0 {
		if uid, err = findID("/etc/passwd", o.rest[0]); err != nil {
			return err
		}
		gid, groups = uid, nil
	}
	if !slices.Contains(groups, gid) {
		groups = append([]int{gid}, groups...)
	}
	show := func(id int, name func(int) string) string {
		if o.has('n') {
			return name(id)
		}
		return strconv.Itoa(id)
	}
	var all []string
	switch {
	case o.has('u'):
		c.println(show(uid, userName))
	case o.has('g'):
		c.println(show(gid, groupName))
	case o.has('G'):
		for _, g := range groups {
			all = append(all, show(g, groupName))
		}
		c.println(strings.Join(all, " "))
	default:
		for _, g := range groups {
			all = append(all, named(g, groupName))
		}
		c.printf("uid=%s gid=%s groups=%s\n", named(uid, userName), named(gid, groupName), strings.Join(all, ","))
	}
	return nil
}

// named prints 0(root), or 1234 where the number has no name.
func named(id int, name func(int) string) string {
	if n := name(id); n != strconv.Itoa(id) {
		return fmt.Sprintf("%d(%s)", id, n)
	}
	return strconv.Itoa(id)
}

func runWhoami(c *call) error {
	c.println(userName(os.Geteuid()))
	return nil
}

func runHostname(c *call) error {
	o, err := c.options("sfi")
	if err != nil {
		return err
	}
	if len(o.rest) > 0 {
		if err := unix.Sethostname([]byte(o.rest[0])); err != nil {
			return fmt.Errorf("sethostname %q: %w", o.rest[0], err)
		}
		return nil
	}
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	if o.has('s') {
		name, _, _ = strings.Cut(name, ".")
	}
	c.println(name)
	return nil
}

func runUname(c *call) error {
	o, err := c.options("asnrvmpio")
	if err != nil {
		return err
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	all := []struct {
		letter byte
		value  string
	}{
		{'s', unix.ByteSliceToString(u.Sysname[:])},
		{'n', unix.ByteSliceToString(u.Nodename[:])},
		{'r', unix.ByteSliceToString(u.Release[:])},
		{'v', unix.ByteSliceToString(u.Version[:])},
		{'m', unix.ByteSliceToString(u.Machine[:])},
		{'o', "GNU/Linux"},
	}
	var shown []string
	for _, part := range all {
		if o.has('a') || o.has(part.letter) || len(o.values) == 0 && part.letter == 's' {
			shown = append(shown, part.value)
		}
	}
	c.println(strings.Join(shown, " "))
	return nil
}

func runUptime(c *call) error {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return err
	}
	up := time.Duration(info.Uptime) * time.Second
	load := func(i int) float64 { return float64(info.Loads[i]) / 65536 }
	c.printf(" %s up %d days, %2d:%02d, load average: %.2f, %.2f, %.2f\n", time.Now().Format("15:04:05"),
		int(up.Hours())/24, int(up.Hours())%24, int(up.Minutes())%60, load(0), load(1), load(2))
	return nil
}

// memInfo reads lines such as "MemTotal:       24576000 kB" into bytes by name.
func memInfo() (map[string]int64, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return nil, err
	}
	values := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			continue
		}
		if n, err := strconv.ParseInt(fields[0], 10, 64); err == nil {
			values[name] = n * 1024
		}
	}
	return values, nil
}

func runFree(c *call) error {
	o, err := c.options("bkmgh")
	if err != nil {
		return err
	}
	m, err := memInfo()
	if err != nil {
		return err
	}
	unit := int64(1024)
	for letter, u := range map[byte]int64{'b': 1, 'm': 1 << 20, 'g': 1 << 30} {
		if o.has(letter) {
			unit = u
		}
	}
	show := func(n int64) string {
		if o.has('h') {
			return humanSize(n)
		}
		return strconv.FormatInt(n/unit, 10)
	}
	cache := m["Buffers"] + m["Cached"] + m["SReclaimable"]
	used := m["MemTotal"] - m["MemAvailable"]
	c.printf("%-7s %11s %11s %11s %11s %11s %11s\n", "", "total", "used", "free", "shared", "buff/cache", "available")
	c.printf("%-7s %11s %11s %11s %11s %11s %11s\n", "Mem:", show(m["MemTotal"]), show(used), show(m["MemFree"]),
		show(m["Shmem"]), show(cache), show(m["MemAvailable"]))
	c.printf("%-7s %11s %11s %11s\n", "Swap:", show(m["SwapTotal"]), show(m["SwapTotal"]-m["SwapFree"]), show(m["SwapFree"]))
	return nil
}

func runNproc(c *call) error {
	// NumCPU is the affinity mask, as nproc(1) has it. A cpu quota does not show here.
	c.println(runtime.NumCPU())
	return nil
}

// dateLetters maps date(1)'s letters to Go's layout.
var dateLetters = map[byte]string{'Y': "2006", 'm': "01", 'd': "02", 'H': "15", 'M': "04", 'S': "05", 'F': "2006-01-02",
	'T': "15:04:05", 'y': "06", 'b': "Jan", 'B': "January", 'a': "Mon", 'A': "Monday", 'Z': "MST", 'z': "-0700",
	'e': "_2", 'I': "03", 'p': "PM", 'D': "01/02/06", 'R': "15:04", 'c': "Mon Jan _2 15:04:05 2006", 'j': "002"}

func runDate(c *call) error {
	o, err := c.options("uRI")
	if err != nil {
		return err
	}
	now := time.Now()
	if o.has('u') {
		now = now.UTC()
	}
	format := "+%a %b %e %H:%M:%S %Z %Y"
	switch {
	case o.has('R'):
		format = "+%a, %d %b %Y %H:%M:%S %z"
	case o.has('I'):
		format = "+%F"
	case len(o.rest) > 0:
		format = o.rest[0]
	}
	if format == "" || format[0] != '+' {
		return usagef("invalid date %q", format)
	}
	c.println(formatDate(now, format[1:]))
	return nil
}

func formatDate(t time.Time, format string) string {
	var out strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			out.WriteByte(format[i])
			continue
		}
		i++
		switch letter := format[i]; letter {
		case '%':
			out.WriteByte('%')
		case 'n':
			out.WriteByte('\n')
		case 's':
			out.WriteString(strconv.FormatInt(t.Unix(), 10))
		case 'N':
			fmt.Fprintf(&out, "%09d", t.Nanosecond())
		default:
			if layout, ok := dateLetters[letter]; ok {
				out.WriteString(t.Format(layout))
			} else {
				out.WriteString("%" + string(letter))
			}
		}
	}
	return out.String()
}
