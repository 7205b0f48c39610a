//go:build linux

package metrics

import (
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The dashboard asks for nothing that is not exported.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("../../grafana.json")
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("runs where the source is: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Title      string
		Templating struct{ List []struct{ Query string } }
		Panels     []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	page, err := everything(t).Page(Text)
	if err != nil {
		t.Fatal(err)
	}
	exported := parse(t, page)
	names := regexp.MustCompile(`\b(simple_)?container_[a-z_]+`)
	asked, ids := 0, map[int]bool{}
	check := func(where, expression string) {
		found := names.FindAllString(expression, -1)
		if len(found) == 0 || strings.Count(expression, "(") != strings.Count(expression, ")") {
			t.Errorf("%s: %q asks for nothing", where, expression)
		}
		for _, name := range found {
			asked++
			if exported[name] == nil {
				t.Errorf("%s: %s is not exported", where, name)
			}
			// Prometheus lets one ask for the rate of a gauge, and answers nonsense.
			rated := regexp.MustCompile(`(rate|increase)\(` + name + `\b`).MatchString(expression)
			if rated != strings.HasSuffix(name, "_total") {
				t.Errorf("%s: %s: rates are of counters, and of counters there are rates", where, name)
			}
		}
	}
	for _, panel := range dashboard.Panels {
		if ids[panel.ID] {
			t.Errorf("%s: two panels have id %d", panel.Title, panel.ID)
		}
		ids[panel.ID] = true
		for _, target := range panel.Targets {
			check(panel.Title, target.Expr)
		}
	}
	for _, variable := range dashboard.Templating.List {
		if variable.Query != "prometheus" {
			check("variable", variable.Query)
		}
	}
	if asked < 20 {
		t.Errorf("only %d names are asked for", asked)
	}
}
