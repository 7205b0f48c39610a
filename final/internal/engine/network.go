//go:build linux

package engine

// connect gives a container that has been created, and not started, its network. pid is its first process.
// Network is the name of the one that the container is in.
func (c *Container) Network() string {
	if c.Options.Network == "" {
		return "none"
	}
	return c.Options.Network
}

func (c *Container) connect(pid int) error { return nil }

// disconnect takes it away.
func (c *Container) disconnect() error { return nil }

// Ports are the container's that are reached at the host, as people read them.
func (c *Container) Ports() []string { return nil }

func (c *Container) portBindings() any { return map[string]any{} }

func (c *Container) networkSettings() any {
	return map[string]any{"Networks": map[string]any{c.Network(): map[string]any{}}}
}
