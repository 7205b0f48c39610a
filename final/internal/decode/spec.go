//go:build linux

package decode

import "github.com/opencontainers/runtime-spec/specs-go"

// The fields of a config.json, one table a type. What only other systems have, and what is
// refused in any case, is left to encoding/json.

var specFields = Fields[specs.Spec]{
	{"ociVersion", func(r *Reader, v *specs.Spec) { Text(r, &v.Version) }},
	{"process", func(r *Reader, v *specs.Spec) { Pointer(r, &v.Process, processFields.Read) }},
	{"root", func(r *Reader, v *specs.Spec) { Pointer(r, &v.Root, rootFields.Read) }},
	{"hostname", func(r *Reader, v *specs.Spec) { Text(r, &v.Hostname) }},
	{"domainname", func(r *Reader, v *specs.Spec) { Text(r, &v.Domainname) }},
	{"mounts", func(r *Reader, v *specs.Spec) { List(r, &v.Mounts, mountFields.Read) }},
	{"hooks", func(r *Reader, v *specs.Spec) { Pointer(r, &v.Hooks, Hooks.Read) }},
	{"annotations", func(r *Reader, v *specs.Spec) { Map(r, &v.Annotations, Text) }},
	{"linux", func(r *Reader, v *specs.Spec) { Pointer(r, &v.Linux, linuxFields.Read) }},
}

var rootFields = Fields[specs.Root]{
	{"path", func(r *Reader, v *specs.Root) { Text(r, &v.Path) }},
	{"readonly", func(r *Reader, v *specs.Root) { Bool(r, &v.Readonly) }},
}

var mountFields = Fields[specs.Mount]{
	{"destination", func(r *Reader, v *specs.Mount) { Text(r, &v.Destination) }},
	{"type", func(r *Reader, v *specs.Mount) { Text(r, &v.Type) }},
	{"source", func(r *Reader, v *specs.Mount) { Text(r, &v.Source) }},
	{"options", func(r *Reader, v *specs.Mount) { List(r, &v.Options, Text) }},
	{"uidMappings", func(r *Reader, v *specs.Mount) { List(r, &v.UIDMappings, idMappingFields.Read) }},
	{"gidMappings", func(r *Reader, v *specs.Mount) { List(r, &v.GIDMappings, idMappingFields.Read) }},
}

// Hooks are those of the hooks, which package runtime notes.
var Hooks = Fields[specs.Hooks]{
	{"prestart", func(r *Reader, v *specs.Hooks) { List(r, &v.Prestart, hookFields.Read) }},
	{"createRuntime", func(r *Reader, v *specs.Hooks) { List(r, &v.CreateRuntime, hookFields.Read) }},
	{"createContainer", func(r *Reader, v *specs.Hooks) { List(r, &v.CreateContainer, hookFields.Read) }},
	{"startContainer", func(r *Reader, v *specs.Hooks) { List(r, &v.StartContainer, hookFields.Read) }},
	{"poststart", func(r *Reader, v *specs.Hooks) { List(r, &v.Poststart, hookFields.Read) }},
	{"poststop", func(r *Reader, v *specs.Hooks) { List(r, &v.Poststop, hookFields.Read) }},
}

var hookFields = Fields[specs.Hook]{
	{"path", func(r *Reader, v *specs.Hook) { Text(r, &v.Path) }},
	{"args", func(r *Reader, v *specs.Hook) { List(r, &v.Args, Text) }},
	{"env", func(r *Reader, v *specs.Hook) { List(r, &v.Env, Text) }},
	{"timeout", func(r *Reader, v *specs.Hook) { Pointer(r, &v.Timeout, Number) }},
}
