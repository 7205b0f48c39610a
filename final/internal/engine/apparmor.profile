# What root in a container may not do, even if it has the capability: the second lock behind the namespaces, the
# read-only mounts and seccomp. In AppArmor, what no rule allows is forbidden, and deny wins over every other rule.
#
# attach_disconnected: a file that was opened outside of the container's tree is called by its path from where that
# tree ends, instead of being refused. mediate_deleted: so is one that is deleted.
profile simple-container-default flags=(attach_disconnected, mediate_deleted) {
  file,
  network,
  unix,
  capability,
  umount,

  # Anybody whom the kernel lets may signal or trace what is in here; in here, only one's own kind.
  signal (receive),
  signal (send) peer=simple-container-default,
  ptrace (readby, tracedby),
  ptrace (read, trace) peer=simple-container-default,

  deny mount,
  deny remount,
  deny pivot_root,

  # In /proc, processes have numbers. All else is the machine's.
  deny /proc/[^0-9]** wkl,
  deny /proc/{kcore,sysrq-trigger} r,

  # In /sys, a container may change its cgroups.
  deny /sys/{[^f],f[^s],fs/[^c],fs/c[^g]}** wkl,
  deny /sys/{firmware,kernel/security,devices/virtual/powercap}/** r,
}
