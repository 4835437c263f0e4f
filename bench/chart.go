package main

import (
	"bytes"
	"fmt"
	"html"
	"slices"
)

// A chart has a row for each bar, and a panel for each of its values.
type chart struct {
	title, note string
	panels      []string
	bars        []bar
}

type bar struct {
	name   string
	kind   string // a class of the style below
	values []float64
	labels []string
}

// The picture brings its own background, as it cannot know that of the page.
const chartStyle = `
text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 } .soft { fill: #59636e } .right { text-anchor: end }
.card { fill: #ffffff; stroke: #d1d9e0 } .ours { fill: #0969da } .floor { fill: #8c959f } .other { fill: #c9a06a }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .soft { fill: #9198a1 }
.card { fill: #0d1117; stroke: #3d444d } .ours { fill: #4493f8 } .floor { fill: #6e7681 } .other { fill: #9a7744 }
}
`

func (c chart) svg() []byte {
	const (
		names, panel, label, gap = 316, 190, 60, 20
		top, line, height        = 78, 24, 15
	)
	width := names + len(c.panels)*(panel+label+gap)
	total := top + len(c.bars)*line + 16

	var b bytes.Buffer
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="%s">`,
		width, total, width, total, html.EscapeString(c.title))
	p(`<style>%s</style>`, chartStyle)
	p(`<rect class="card" x="0.5" y="0.5" width="%d" height="%d" rx="6"/>`, width-1, total-1)
	p(`<text class="title" x="16" y="28">%s</text>`, html.EscapeString(c.title))
	p(`<text class="soft right" x="%d" y="28">%s</text>`, width-16, html.EscapeString(c.note))
	for i, name := range c.panels {
		x := names + i*(panel+label+gap)
		p(`<text class="soft" x="%d" y="62">%s</text>`, x, html.EscapeString(name))
		longest := 0.0
		for _, bar := range c.bars {
			longest = max(longest, bar.values[i])
		}
		for j, bar := range c.bars {
			y, length := top+j*line, max(1, bar.values[i]/longest*panel)
			p(`<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`, bar.kind, x, y, length, height)
			p(`<text x="%.1f" y="%d">%s</text>`, float64(x)+length+6, y+height-3, html.EscapeString(bar.labels[i]))
		}
	}
	for j, bar := range c.bars {
		p(`<text class="right" x="%d" y="%d">%s</text>`, names-12, top+j*line+height-3, html.EscapeString(bar.name))
	}
	p(`</svg>`)
	return slices.Clip(b.Bytes())
}
