//go:build linux && !engine

package main

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/simple-container/simple-container/final/internal/image"
)

// An imageRow is a line of `final images`, with Docker's names for templates and JSON.
type imageRow struct {
	ID           string
	Repository   string
	Tag          string
	Digest       string
	CreatedSince string
	CreatedAt    string
	Size         string
}

func imagesCommand(s *session) *cobra.Command {
	var o imagesOptions
	command := &cobra.Command{
		Use:   "images [REPOSITORY[:TAG]]",
		Short: "List the images that are here",
		Example: "  final images\n  final images -q --filter dangling=true\n" +
			"  final images --format '{{.Repository}}:{{.Tag}} {{.Size}}'",
		Args:              arguments(0, 1),
		ValidArgsFunction: completeImages(s),
		RunE: s.withImages(func(store *image.Store, args []string) error {
			if len(args) > 0 {
				o.filters = append(o.filters, "reference="+args[0])
			}
			images, err := store.List()
			if err != nil {
				return err
			}
			return o.print(images)
		}),
	}
	command.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "print only the ids")
	command.Flags().BoolVar(&o.whole, "no-trunc", false, "print ids in full")
	command.Flags().BoolVar(&o.digests, "digests", false, "print the registries' digests")
	command.Flags().BoolP("all", "a", false, "accepted, as Docker's: there are no hidden images")
	command.Flags().StringVar(&o.format, "format", "", "json, or a template, as '{{.ID}} {{.Size}}'")
	command.Flags().StringArrayVarP(&o.filters, "filter", "f", nil,
		"reference=PATTERN, dangling=true, label=KEY[=VALUE], before=IMAGE, since=IMAGE")
	return command
}

type imagesOptions struct {
	quiet   bool
	whole   bool
	digests bool
	format  string
	filters []string
}

func (o *imagesOptions) print(images []*image.Image) error {
	var rows []imageRow
	shown := map[string]bool{}
	for _, img := range images {
		keep, err := o.keeps(img, images)
		if err != nil {
			return err
		}
		if !keep {
			continue
		}
		for _, row := range o.rows(img) {
			if o.quiet && shown[row.ID] {
				continue
			}
			shown[row.ID] = true
			rows = append(rows, row)
		}
	}
	if o.quiet && o.format == "" {
		for _, row := range rows {
			fmt.Println(row.ID)
		}
		return nil
	}
	return printRows(o.format, o.columns(), rows)
}

func (o *imagesOptions) columns() []column[imageRow] {
	columns := []column[imageRow]{
		{"REPOSITORY", func(r imageRow) string { return r.Repository }},
		{"TAG", func(r imageRow) string { return r.Tag }},
	}
	if o.digests {
		columns = append(columns, column[imageRow]{"DIGEST", func(r imageRow) string { return r.Digest }})
	}
	return append(columns, []column[imageRow]{
		{"IMAGE ID", func(r imageRow) string { return r.ID }},
		{"CREATED", func(r imageRow) string { return r.CreatedSince }},
		{"SIZE", func(r imageRow) string { return r.Size }},
	}...)
}

const none = "<none>"

// rows are the lines of an image: one for each name that the filters let pass.
func (o *imagesOptions) rows(img *image.Image) (rows []imageRow) {
	row := imageRow{
		ID: image.Short(img.ID), Repository: none, Tag: none, Digest: none,
		CreatedSince: since(img.Config.Created.Time), CreatedAt: img.Config.Created.Local().Format("2006-01-02 15:04:05 -0700 MST"),
		Size: units.HumanSizeWithPrecision(float64(img.Size), 3),
	}
	if o.whole {
		row.ID = img.ID
	}
	for _, full := range img.Names {
		if !o.passes(full) {
			continue
		}
		repository, tag, _ := image.SplitName(full)
		row.Repository, row.Tag, row.Digest = image.ShortName(repository), tag, none
		if digest := img.PulledDigest(full); digest != "" {
			row.Digest = digest
		}
		rows = append(rows, row)
	}
	if len(img.Names) == 0 {
		if len(img.Digests) > 0 { // of a pull by digest, or what a newer image took the name from
			repository, _, digest := image.SplitName(img.Digests[0])
			row.Repository, row.Digest = image.ShortName(repository), digest
		}
		rows = append(rows, row)
	}
	return rows
}

func since(created time.Time) string {
	if created.Unix() <= 0 {
		return "N/A" // made so that it is the same each time
	}
	return units.HumanDuration(time.Since(created)) + " ago"
}

// keeps tells whether an image passes all filters.
func (o *imagesOptions) keeps(img *image.Image, all []*image.Image) (bool, error) {
	for _, filter := range o.filters {
		key, value, ok := strings.Cut(filter, "=")
		keep := false
		var err error
		switch {
		case !ok:
			return false, fmt.Errorf("images: --filter %q: want KEY=VALUE", filter)
		case key == "reference":
			for _, full := range img.Names {
				keep = keep || matches(value, full)
			}
			_, err = path.Match(value, "")
		case key == "dangling":
			var want bool
			if want, err = strconv.ParseBool(value); err != nil {
				err = errors.New("want true or false")
			}
			keep = (len(img.Names) == 0) == want
		case key == "label":
			name, want, exact := strings.Cut(value, "=")
			got, has := img.Config.Config.Labels[name]
			keep = has && (!exact || got == want)
		case key == "before" || key == "since":
			var other *image.Image
			if other, err = image.FindIn(all, value); err == nil {
				age := img.Config.Created.Compare(other.Config.Created.Time)
				keep = key == "before" && age < 0 || key == "since" && age > 0
			}
		default:
			err = fmt.Errorf("want reference, dangling, label, before or since")
		}
		if err != nil {
			return false, fmt.Errorf("images: --filter %q: %w", filter, err)
		}
		if !keep {
			return false, nil
		}
	}
	return true, nil
}

// passes tells whether a name passes the filters that are about names.
func (o *imagesOptions) passes(full string) bool {
	for _, filter := range o.filters {
		if pattern, ok := strings.CutPrefix(filter, "reference="); ok && !matches(pattern, full) {
			return false
		}
	}
	return true
}

// matches holds a pattern against a name in all its forms.
func matches(pattern, full string) bool {
	repository, _, _ := image.SplitName(full)
	for _, form := range []string{full, image.ShortName(full), repository, image.ShortName(repository)} {
		if ok, err := path.Match(pattern, form); ok && err == nil {
			return true
		}
	}
	return false
}
