// Package monitoring tests what an operator is given: the dashboard and the alerts of
// package otelsession, and the probes, as Prometheus, Gin and Echo see them. It is a module
// of its own, because the parser of Prometheus brings much along.
package monitoring

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// A Metrics is what a program exposes: the labels of each metric, and the values that they
// have.
type Metrics map[string]map[string][]string

// Parse reads a page of metrics in the text format of Prometheus.
func Parse(page string) (Metrics, error) {
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(strings.NewReader(page))
	if err != nil {
		return nil, err
	}
	metrics := make(Metrics)
	for name, family := range families {
		names := []string{name}
		if len(family.Metric) > 0 && family.Metric[0].Histogram != nil {
			names = []string{name + "_bucket", name + "_sum", name + "_count"}
		}
		for _, name := range names {
			found := map[string][]string{"job": nil, "instance": nil} // Prometheus adds them
			if strings.HasSuffix(name, "_bucket") {
				found["le"] = nil
			}
			for _, m := range family.Metric {
				for _, l := range m.Label {
					if !slices.Contains(found[l.GetName()], l.GetValue()) {
						found[l.GetName()] = append(found[l.GetName()], l.GetValue())
					}
				}
			}
			metrics[name] = found
		}
	}
	return metrics, nil
}

// A Query is what an expression asks for.
type Query struct {
	Metrics []string // that it reads
	Labels  []string // that its result has, as far as sum by and the like say
}

// Check returns what an expression asks for, and why it can find nothing: a metric, a label
// or a value of a label that no program exposes.
func (m Metrics) Check(expression string) (q Query, problems []string) {
	expr, err := parser.ParseExpr(expression)
	if err != nil {
		return q, []string{err.Error()}
	}
	names, grouped := make(map[string]bool), make(map[string]bool)
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			names[n.Name] = true
			problems = append(problems, m.checkSelector(n)...)
		case *parser.AggregateExpr:
			for _, label := range n.Grouping {
				grouped[label] = true
				problems = append(problems, m.checkGrouping(n, label)...)
			}
		}
		return nil
	})
	return Query{slices.Sorted(maps.Keys(names)), slices.Sorted(maps.Keys(grouped))}, problems
}

func (m Metrics) checkSelector(s *parser.VectorSelector) (problems []string) {
	exposed, ok := m[s.Name]
	if !ok {
		return []string{fmt.Sprintf("there is no metric %q", s.Name)}
	}
	for _, matcher := range s.LabelMatchers {
		values, ok := exposed[matcher.Name]
		switch {
		case matcher.Name == model.MetricNameLabel:
		case !ok:
			problems = append(problems, fmt.Sprintf("%s has no label %q", s.Name, matcher.Name))
		case len(values) > 0:
			problems = append(problems, unknownValues(s.Name, matcher, values)...)
		}
	}
	return problems
}

// unknownValues tells which values a matcher names that the label never has. What it names
// are words with a | between them; an empty one stands for no such label.
func unknownValues(metric string, matcher *labels.Matcher, values []string) (problems []string) {
	for value := range strings.SplitSeq(matcher.Value, "|") {
		if value != "" && !slices.Contains(values, value) {
			problems = append(problems, fmt.Sprintf("%s never has %s=%q", metric, matcher.Name, value))
		}
	}
	return problems
}

func (m Metrics) checkGrouping(a *parser.AggregateExpr, label string) (problems []string) {
	parser.Inspect(a.Expr, func(node parser.Node, _ []parser.Node) error {
		if s, ok := node.(*parser.VectorSelector); ok && m[s.Name] != nil {
			if _, ok := m[s.Name][label]; !ok {
				problems = append(problems, fmt.Sprintf("%s has no label %q to sum by", s.Name, label))
			}
		}
		return nil
	})
	return problems
}
