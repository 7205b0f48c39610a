//go:build linux && !engine

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/metrics"
)

func metricsCommand(s *session) *cobra.Command {
	var listen string
	var once bool
	e := &metrics.Exporter{Targets: s.targets}
	command := &cobra.Command{
		Use:   "metrics",
		Short: "Serve the figures of all containers to Prometheus",
		Long: `Serve the figures of all containers to Prometheus, at http://ADDRESS/metrics.

Names, units and labels are cAdvisor's, so that its dashboards and alerts show them; final/grafana.json is one
that goes with them. Whoever can reach the address can read the figures, so it is a loopback one if you do not
say otherwise. Requests that are made by a name other than localhost, the machine's own and those of --host are
refused: a web page could have led that name here.`,
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			mounts, err := (&kernel.Door{}).Mounts()
			if err != nil {
				return err
			}
			if e.Trees, err = cgroup.Find(mounts); err != nil {
				return err
			}
			e.Warn = func(err error) { s.record("warning", err.Error()) }
			if once {
				text, err := e.Page(metrics.Text)
				if err == nil {
					_, err = command.OutOrStdout().Write(text)
				}
				return err
			}
			return serveMetrics(e, listen)
		},
	}
	command.Flags().StringVar(&listen, "listen", "127.0.0.1:9102", "the `address` to serve at")
	command.Flags().StringSliceVar(&e.Hosts, "host", nil, "a further `name` by which the machine may be asked")
	command.Flags().BoolVar(&once, "once", false, "print them once, and serve nothing")
	return command
}

// serveMetrics serves until it is told to end, by Ctrl-C or a service manager.
func serveMetrics(e *metrics.Exporter, address string) error {
	if host, _, err := net.SplitHostPort(address); err == nil && host != "" && net.ParseIP(host) == nil {
		e.Hosts = append(e.Hosts, host)
	}
	if _, err := e.Targets(); err != nil { // who may not look should not find out at the first scrape
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("--listen %s: %w", address, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	fmt.Fprintf(os.Stderr, "metrics at http://%s/metrics\n", listener.Addr())
	return e.Serve(ctx, listener)
}
