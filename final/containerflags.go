//go:build linux && !engine

package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/simple-container/simple-container/final/internal/ocispec"
)

// containerFlags are those of run and create that say what the container is like. They are Docker's.
type containerFlags struct {
	resourceFlags
	flags *pflag.FlagSet
	o     ocispec.Options // what needs no parsing

	entrypoint, userns, shm           string
	env, envFiles, labels, labelFiles []string
	annotations                       []string
	ulimits, devices, deviceRules     []string
	volumes, mounts, tmpfs            []string
	security, sysctls                 []string
	oomScore                          int
}

func (f *containerFlags) add(flags *pflag.FlagSet) {
	f.flags = flags
	flags.Bool("help", false, "this help") // -h is the hostname
	f.addProcess(flags)
	f.addRights(flags)
	f.addFiles(flags)
	f.addNamespaces(flags)
	f.resourceFlags.add(flags)
}

func (f *containerFlags) addProcess(flags *pflag.FlagSet) {
	flags.StringVar(&f.entrypoint, "entrypoint", "", "program in place of the image's entrypoint; \"\" for none")
	flags.StringArrayVarP(&f.env, "env", "e", nil, "variable NAME=VALUE, or NAME to pass ours on")
	flags.StringArrayVar(&f.envFiles, "env-file", nil, "file of variables, one a line")
	flags.StringVarP(&f.o.Workdir, "workdir", "w", "", "working directory in the container")
	flags.StringVarP(&f.o.User, "user", "u", "", "user of the image, or number, and group: NAME|UID[:GROUP|GID]")
	flags.StringArrayVar(&f.o.Groups, "group-add", nil, "further group")
	flags.BoolVarP(&f.o.Terminal, "tty", "t", false, "give it a terminal")
	flags.BoolVarP(&f.o.Stdin, "interactive", "i", false, "pass the standard input on")
	flags.StringVar(&f.o.StopSignal, "stop-signal", "", "signal that asks it to end (default the image's, or SIGTERM)")
	flags.BoolVar(&f.o.Init, "init", false, "run an init as process 1, which passes signals on and reaps")
	flags.StringArrayVar(&f.ulimits, "ulimit", nil, "limit of each process: NAME=SOFT[:HARD], as nofile=1024")
	flags.IntVar(&f.oomScore, "oom-score-adj", 0, "how readily it is killed when memory is short: -1000 to 1000")
	flags.StringVarP(&f.o.Hostname, "hostname", "h", "", "name of the host in it (default the id's first 12 digits)")
	flags.StringVar(&f.o.Domainname, "domainname", "", "NIS domain name in it")
	flags.StringArrayVarP(&f.labels, "label", "l", nil, "label NAME=VALUE")
	flags.StringArrayVar(&f.labelFiles, "label-file", nil, "file of labels, one a line")
	flags.StringArrayVar(&f.annotations, "annotation", nil, "annotation NAME=VALUE of the OCI config")
}

func (f *containerFlags) addRights(flags *pflag.FlagSet) {
	flags.BoolVar(&f.o.Privileged, "privileged", false,
		"all capabilities and devices, nothing hidden: as good as the host's root")
	flags.StringArrayVar(&f.o.CapAdd, "cap-add", nil, "capability to add, as NET_ADMIN, or ALL")
	flags.StringArrayVar(&f.o.CapDrop, "cap-drop", nil, "capability to take away, or ALL")
	flags.StringArrayVar(&f.security, "security-opt", nil,
		"no-new-privileges, seccomp=unconfined|FILE, apparmor=PROFILE, label=..., systempaths=unconfined")
	flags.StringArrayVar(&f.devices, "device", nil, "device of the host: HOST[:CONTAINER][:rwm]")
	flags.StringArrayVar(&f.deviceRules, "device-cgroup-rule", nil, "devices by number: \"c 10:200 rwm\"")
	flags.StringArrayVar(&f.sysctls, "sysctl", nil, "kernel parameter of its namespaces: NAME=VALUE")
}

func (f *containerFlags) addFiles(flags *pflag.FlagSet) {
	flags.StringArrayVarP(&f.volumes, "volume", "v", nil, "directory or volume: [SOURCE:]TARGET[:ro,z,Z,nocopy,rslave...]")
	flags.StringArrayVar(&f.mounts, "mount", nil, "type=bind|volume|tmpfs,source=...,target=...[,readonly]...")
	flags.StringArrayVar(&f.tmpfs, "tmpfs", nil, "directory in memory: TARGET[:size=64m,mode=1777,exec...]")
	flags.BoolVar(&f.o.ReadOnly, "read-only", false, "do not let it write its root file system")
	flags.StringVar(&f.shm, "shm-size", "", "size of /dev/shm (default 64m)")
}

func (f *containerFlags) addNamespaces(flags *pflag.FlagSet) {
	flags.StringVar(&f.o.Network, "network", "", "bridge, none, host, container:NAME, or a network's name (default bridge)")
	flags.StringVar(&f.o.Network, "net", "", "as --network")
	_ = flags.MarkHidden("net") // it is there
	flags.StringVar(&f.o.PID, "pid", "", "processes it sees: host, container:NAME (default its own)")
	flags.StringVar(&f.o.IPC, "ipc", "", "shared memory and queues: host, none, container:NAME (default its own)")
	flags.StringVar(&f.o.UTS, "uts", "", "host leaves it the host's names")
	flags.StringVar(&f.o.Cgroup, "cgroupns", "", "host or private (default private with cgroup v2)")
	flags.StringVar(&f.userns, "userns", "", "host, or a range of the host's ids that its own become, as 100000:65536")
}

// options are what the flags say. The command is not among them.
func (f *containerFlags) options() (o ocispec.Options, err error) {
	o = f.o
	if f.flags.Changed("entrypoint") {
		o.Entrypoint = []string{}
		if f.entrypoint != "" {
			o.Entrypoint = []string{f.entrypoint}
		}
	}
	if f.flags.Changed("oom-score-adj") {
		if f.oomScore < -1000 || f.oomScore > 1000 {
			return o, fmt.Errorf("--oom-score-adj %d: want -1000 to 1000", f.oomScore)
		}
		o.OOMScore = &f.oomScore
	}
	if o.StopSignal != "" {
		if _, err := parseSignal(o.StopSignal); err != nil {
			return o, fmt.Errorf("--stop-signal: %w", err)
		}
	}
	if o.Resources, err = f.resources(); err != nil {
		return o, err
	}
	for _, read := range []func(*ocispec.Options) error{
		f.readEnv, f.readLabels, f.readLists, f.readMounts, f.readNamespaces,
	} {
		if err := read(&o); err != nil {
			return o, err
		}
	}
	return o, nil
}

// readEnv reads the variables: --env wins over what files say.
func (f *containerFlags) readEnv(o *ocispec.Options) error {
	for _, name := range f.envFiles {
		file, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("--env-file: %w", err)
		}
		env, err := ocispec.ParseEnvFile(file, os.LookupEnv)
		file.Close()
		if err != nil {
			return fmt.Errorf("--env-file %s: %w", name, err)
		}
		o.Env = append(o.Env, env...)
	}
	return each(f.env, func(text string) error {
		variable, err := ocispec.ParseEnv(text, os.LookupEnv)
		o.Env = append(o.Env, variable)
		return err
	})
}

func (f *containerFlags) readLabels(o *ocispec.Options) error {
	o.Labels, o.Annotations = map[string]string{}, map[string]string{}
	for _, name := range f.labelFiles {
		file, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("--label-file: %w", err)
		}
		err = ocispec.ParseLabelFile(file, o.Labels)
		file.Close()
		if err != nil {
			return fmt.Errorf("--label-file %s: %w", name, err)
		}
	}
	into := func(flag string, labels map[string]string) func(string) error {
		return func(text string) error {
			name, value, err := ocispec.ParseLabel(flag, text)
			labels[name] = value
			return err
		}
	}
	return errors.Join(each(f.labels, into("label", o.Labels)), each(f.annotations, into("annotation", o.Annotations)))
}

// readLists reads the flags that may be given many times.
func (f *containerFlags) readLists(o *ocispec.Options) (err error) {
	if o.Ulimits, err = collect(f.ulimits, ocispec.ParseUlimit); err != nil {
		return err
	}
	if o.Devices, err = collect(f.devices, ocispec.ParseDevice); err != nil {
		return err
	}
	if o.DeviceRules, err = collect(f.deviceRules, ocispec.ParseDeviceRule); err != nil {
		return err
	}
	if o.Security, err = ocispec.ParseSecurity(f.security, os.ReadFile); err != nil {
		return err
	}
	o.Sysctls = map[string]string{}
	return each(f.sysctls, func(text string) error {
		name, value, err := ocispec.ParseSysctl(text)
		o.Sysctls[name] = value
		return err
	})
}

func (f *containerFlags) readMounts(o *ocispec.Options) (err error) {
	volume := func(text string) (ocispec.Mount, error) {
		here, err := os.Getwd() // only now: who has no volumes may be in a directory that has been removed
		if err != nil {
			return ocispec.Mount{}, err
		}
		return ocispec.ParseVolume(text, here)
	}
	for _, flag := range []struct {
		texts []string
		parse func(string) (ocispec.Mount, error)
	}{{f.volumes, volume}, {f.mounts, ocispec.ParseMount}, {f.tmpfs, ocispec.ParseTmpfs}} {
		mounts, err := collect(flag.texts, flag.parse)
		if err != nil {
			return err
		}
		o.Mounts = append(o.Mounts, mounts...)
	}
	if f.shm != "" {
		o.ShmSize, err = ocispec.ParseMemory("shm-size", f.shm)
	}
	return err
}

func (f *containerFlags) readNamespaces(o *ocispec.Options) (err error) {
	for _, mode := range []struct{ flag, value string }{
		{"pid", o.PID}, {"ipc", o.IPC}, {"uts", o.UTS}, {"cgroupns", o.Cgroup},
	} {
		if err := ocispec.CheckMode(mode.flag, mode.value); err != nil {
			return err
		}
	}
	o.Userns, err = ocispec.ParseUserns(f.userns)
	return err
}

func each(texts []string, take func(string) error) error {
	for _, text := range texts {
		if err := take(text); err != nil {
			return err
		}
	}
	return nil
}

func collect[T any](texts []string, parse func(string) (T, error)) (list []T, err error) {
	for _, text := range texts {
		one, err := parse(text)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}
