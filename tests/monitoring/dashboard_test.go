package monitoring

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/model"
	"go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.yaml.in/yaml/v3"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/otelsession"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

// An operator is who looks at the metrics of an app, over HTTP, as Prometheus does.
type operator struct {
	t        *testing.T
	url      string
	store    *memorystore.Store
	observer *otelsession.Observer
}

func newOperator(t *testing.T) *operator {
	t.Helper()
	registry := prom.NewRegistry()
	exporter, err := prometheus.New(prometheus.WithRegisterer(registry))
	if err != nil {
		t.Fatal(err)
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter))
	st := memorystore.New(memorystore.Options{})
	observer, err := otelsession.New(otelsession.Options{MeterProvider: provider, Counter: st})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	t.Cleanup(func() {
		server.Close()
		_ = provider.Shutdown(context.Background())
		_ = st.Close()
	})
	return &operator{t, server.URL, st, observer}
}

// scrape returns what is exposed now.
func (o *operator) scrape() Metrics {
	o.t.Helper()
	res, err := http.Get(o.url)
	if err != nil {
		o.t.Fatal(err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	metrics, err := Parse(string(page))
	if err != nil {
		o.t.Fatal(err)
	}
	return metrics
}

// exposed returns what an app exposes to which everything has happened. What is quick to
// bring about has; of other kinds of events the app's Observer is told.
func exposed(t *testing.T) Metrics {
	t.Helper()
	o := newOperator(t)
	visits(t, o)
	ctx := t.Context()
	for _, kind := range constants(t, "EventKind") {
		failure := &store.Error{Store: "test", Verb: "load", Class: "connection failed"}
		o.observer.Observe(ctx, core.Event{Kind: core.EventKind(kind), Err: failure})
	}
	for _, cause := range constants(t, "Cause") {
		o.observer.Observe(ctx, core.Event{Kind: core.EventRevoked, Cause: core.Cause(cause)})
	}
	for _, op := range constants(t, "Operation") {
		_, end := o.observer.Start(ctx, core.Operation(op))
		end(store.ErrConflict)
	}
	for _, verb := range []string{"clear", "ping"} {
		o.observer.ObserveStore(ctx, core.StoreCall{Verb: verb, Duration: time.Millisecond, Err: &store.Error{Store: "test", Verb: verb, Class: "timeout"}})
	}
	deadline, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		metrics := o.scrape()
		_, live := metrics["cloakroom_session_live"]
		if live && slices.Contains(metrics["cloakroom_session_store_call_duration_seconds_count"]["cloakroom_verb"], "count") {
			return metrics
		}
		select {
		case <-tick.C:
		case <-deadline.Done():
			t.Fatal("the sessions are not counted")
		}
	}
}

// visits has a browser visit an app, over HTTP: log in, change something, and log out.
func visits(t *testing.T, o *operator) {
	t.Helper()
	m, err := core.New(core.Config{Store: o.store, Secrets: []string{strings.Repeat("s", 32)}, Observer: o.observer})
	if err != nil {
		t.Fatal(err)
	}
	const views core.Key[int] = "views"
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(_ http.ResponseWriter, r *http.Request) {
		views.Update(core.FromContext(r.Context()), func(n int) int { return n + 1 })
	})
	mux.HandleFunc("/login", func(_ http.ResponseWriter, r *http.Request) {
		if err := core.FromContext(r.Context()).SignIn(r.Context(), "ada"); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("/logout", func(_ http.ResponseWriter, r *http.Request) {
		if err := core.FromContext(r.Context()).SignOut(r.Context()); err != nil {
			t.Error(err)
		}
	})
	server := httptest.NewServer(m.Handler(mux))
	defer server.Close()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	defer browser.CloseIdleConnections()
	for _, path := range []string{"/", "/", "/login", "/", "/logout"} {
		res, err := browser.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", path, res.Status)
		}
	}
}

// constants returns the values of the constants of a type of core.
func constants(t *testing.T, typeName string) (values []string) {
	t.Helper()
	api, err := os.ReadFile("../../api/core.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^const \w+ `+typeName+` = "([^"]+)"$`).FindAllSubmatch(api, -1) {
		values = append(values, string(m[1]))
	}
	if len(values) < 3 {
		t.Fatalf("api/core.txt has %q as constants of type %s: this looks for them in the wrong way", values, typeName)
	}
	return values
}

// A board is what is looked at of a dashboard of Grafana.
type board struct {
	Title  string
	Panels []struct {
		ID      int
		Type    string
		Title   string
		Targets []struct {
			RefID        string `json:"refId"`
			Expr         string
			LegendFormat string
			Datasource   datasource
		}
		GridPos struct{ H, W, X, Y int }
	}
	Templating struct {
		List []struct {
			Name, Type, Definition string
		}
	}
}

type datasource struct{ Type, UID string }

// inGrafana puts what Grafana would in the place of the variables of an expression.
var inGrafana = strings.NewReplacer("$__rate_interval", "5m", "$job", "app")

var legendLabel = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

func TestTheDashboardAsksForWhatIsExposed(t *testing.T) {
	file, err := os.ReadFile("../../otelsession/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var b board
	if err := json.Unmarshal(file, &b); err != nil {
		t.Fatal(err)
	}
	metrics := exposed(t)
	asked, ids := make(map[string]bool), make(map[int]bool)
	for i, p := range b.Panels {
		if ids[p.ID] {
			t.Errorf("%s: two panels have the id %d", p.Title, p.ID)
		}
		ids[p.ID] = true
		for _, other := range b.Panels[:i] {
			a, o := p.GridPos, other.GridPos
			if a.X < o.X+o.W && o.X < a.X+a.W && a.Y < o.Y+o.H && o.Y < a.Y+a.H {
				t.Errorf("%q lies over %q", p.Title, other.Title)
			}
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			q, problems := metrics.Check(inGrafana.Replace(target.Expr))
			for _, problem := range problems {
				t.Errorf("%s: %s", p.Title, problem)
			}
			if !strings.Contains(target.Expr, `job=~"$job"`) || target.Datasource.UID != "${datasource}" {
				t.Errorf("%s does not go by what is chosen at the top", p.Title)
			}
			for _, m := range legendLabel.FindAllStringSubmatch(target.LegendFormat, -1) {
				if !slices.Contains(q.Labels, m[1]) {
					t.Errorf("%s: the legend names %s, which the result does not have", p.Title, m[1])
				}
			}
			for _, name := range q.Metrics {
				asked[name] = true
			}
		}
	}
	for _, v := range b.Templating.List {
		if v.Type == "query" && !strings.HasPrefix(v.Definition, "label_values(cloakroom_session_events_total, ") {
			t.Errorf("the variable %s is %s", v.Name, v.Definition)
		}
	}
	for name := range metrics {
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
		if strings.HasPrefix(name, "cloakroom_") && !asked[name] && !asked[base+"_bucket"] && !asked[base+"_count"] {
			t.Errorf("no panel shows %s", name)
		}
	}
}

// Rules are a file of rules for Prometheus.
type rules struct {
	Groups []struct {
		Name     string         `yaml:"name"`
		Interval model.Duration `yaml:"interval"`
		Rules    []struct {
			Alert         string            `yaml:"alert"`
			Expr          string            `yaml:"expr"`
			For           model.Duration    `yaml:"for"`
			KeepFiringFor model.Duration    `yaml:"keep_firing_for"`
			Labels        map[string]string `yaml:"labels"`
			Annotations   map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

var annotationLabel = regexp.MustCompile(`\$labels\.(\w+)`)

func TestTheAlertsAskForWhatIsExposed(t *testing.T) {
	file, err := os.ReadFile("../../otelsession/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var r rules
	decoder := yaml.NewDecoder(bytes.NewReader(file))
	decoder.KnownFields(true)
	if err := decoder.Decode(&r); err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile("../../docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	metrics, alerts := exposed(t), 0
	for _, group := range r.Groups {
		for _, rule := range group.Rules {
			alerts++
			q, problems := metrics.Check(rule.Expr)
			for _, problem := range problems {
				t.Errorf("%s: %s", rule.Alert, problem)
			}
			for _, text := range rule.Annotations {
				for _, m := range annotationLabel.FindAllStringSubmatch(text, -1) {
					if !slices.Contains(q.Labels, m[1]) {
						t.Errorf("%s: an annotation names %s, which the result does not have", rule.Alert, m[1])
					}
				}
			}
			if rule.Annotations["summary"] == "" || !slices.Contains([]string{"critical", "warning"}, rule.Labels["severity"]) {
				t.Errorf("%s has no summary or no severity", rule.Alert)
			}
			if !strings.Contains(string(guide), "\n### "+rule.Alert+"\n") ||
				!strings.HasSuffix(rule.Annotations["runbook_url"], "/docs/monitoring.md#"+strings.ToLower(rule.Alert)) {
				t.Errorf("%s does not lead to its section in docs/monitoring.md", rule.Alert)
			}
		}
	}
	if alerts == 0 {
		t.Error("there are no alerts")
	}
}

// A counter that an alert is about is there before the first time: the first one would
// otherwise be the beginning of a series, and no increase.
func TestCountersOfRareThingsBeginAtZero(t *testing.T) {
	fresh := newOperator(t).scrape()
	for _, value := range []string{"forged", "unknown", "undecodable", "dropped", "store-failed"} {
		if !slices.Contains(fresh["cloakroom_session_events_total"]["cloakroom_event"], value) {
			t.Errorf("the event %s is not there before it happens", value)
		}
	}
	if !slices.Contains(fresh["cloakroom_session_conflicts_total"]["cloakroom_outcome"], "failed") {
		t.Error("conflicts that failed are not there before they happen")
	}
}

// Labels have as many values as the code has words, whoever the users are.
func TestNoLabelGrowsWithTheUsers(t *testing.T) {
	metrics := exposed(t)
	for name, labels := range metrics {
		for label, values := range labels {
			for _, value := range values {
				if value == "ada" || len(value) > 60 {
					t.Errorf("%s{%s=%q}", name, label, value)
				}
			}
		}
	}
}

// The check finds what is wrong: a name that was renamed, for one.
func TestTheCheckFindsWhatIsWrong(t *testing.T) {
	metrics, err := Parse("# TYPE sessions counter\nsessions{event=\"saved\"} 1\n# TYPE wait histogram\nwait_bucket{le=\"+Inf\",op=\"load\"} 1\nwait_sum{op=\"load\"} 1\nwait_count{op=\"load\"} 1\n")
	if err != nil {
		t.Fatal(err)
	}
	for expr, want := range map[string]string{
		`sum by (job, le) (rate(wait_bucket{op="load"}[5m]))`: "",
		`sum by (event) (sessions{event=~"saved|saved"})`:     "",
		`rate(session[5m])`:                     `there is no metric "session"`,
		`wait`:                                  `there is no metric "wait"`,
		`sessions{kind="saved"}`:                `sessions has no label "kind"`,
		`sessions{event="Saved"}`:               `sessions never has event="Saved"`,
		`sessions{event!~"saved|gone"}`:         `sessions never has event="gone"`,
		`sum by (le) (wait_count)`:              `wait_count has no label "le" to sum by`,
		`histogram_quantile(0.9, sessions`:      "unclosed left parenthesis",
		`sum by (op) (rate(wait_bucket[5m])) )`: "unexpected right parenthesis",
	} {
		_, problems := metrics.Check(expr)
		if got := strings.Join(problems, "; "); got != want && (want == "" || !strings.Contains(got, want)) {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
	if _, err := Parse("sessions{"); err == nil {
		t.Error("half a page is a page")
	}
}
