package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestTheDocumentIsUpToDate(t *testing.T) {
	if err := run(false); err != nil {
		t.Error(err)
	}
}

// Everything that is listed has a number of its own, and none was left out.
func TestEveryKnownVulnerabilityIsAnswered(t *testing.T) {
	var want, got []string
	for _, span := range [][2]int{{1, 7}, {10, 26}, {30, 44}, {50, 62}} { // by kind: ids, ends of sessions, secrets, load
		for n := span[0]; n <= span[1]; n++ {
			want = append(want, fmt.Sprintf("T-%02d", n))
		}
	}
	for _, v := range vulnerabilities {
		got = append(got, v.number)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the list has %v, want %v", got, want)
	}
}

func TestEveryRequirementIsThere(t *testing.T) {
	ids := make(map[string]int)
	for _, s := range standards {
		for _, r := range s.requirements {
			ids[r.id]++
			if r.short == "" || r.text == "" || !slices.Contains([]how{byDefault, byOption, byCall, byApp}, r.how) {
				t.Errorf("%s is not answered", r.id)
			}
			if strings.Contains(r.short+r.text, "|") {
				t.Errorf("%s breaks its table", r.id)
			}
		}
	}
	var want []string
	for chapter, n := range map[string]int{"7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 3, "7.6": 2, "3.3": 5} {
		for i := range n {
			want = append(want, fmt.Sprintf("ASVS-%s.%d", chapter, i+1))
		}
	}
	for i := range 11 {
		want = append(want, fmt.Sprintf("WSTG-SESS-%02d", i+1))
	}
	for _, more := range []string{ // of other chapters, as far as they concern sessions
		"1.5.2", "3.4.1", "3.5.1", "3.5.2", "3.5.3", "4.4.1", "4.4.2", "4.4.3", "4.4.4", "6.3.1", "6.5.2", "8.1.3", "8.2.4", "8.3.2", "8.4.1",
		"9.1.1", "9.1.2", "9.1.3", "9.2.1", "9.2.2", "9.2.3", "9.2.4", "11.1.1", "11.1.2", "11.2.2", "11.2.3", "11.2.4", "11.2.5",
		"11.3.2", "11.3.3", "11.3.4", "11.3.5", "11.4.1", "11.5.1", "11.5.2", "13.1.2", "13.1.3", "13.1.4", "13.2.6", "13.3.4",
		"14.2.1", "14.2.7", "14.3.1", "14.3.2", "15.1.3", "15.2.2", "15.3.4", "15.4.1", "15.4.2", "15.4.3", "15.4.4",
		"16.2.5", "16.3.1", "16.3.2", "16.3.3", "16.3.4", "16.4.1", "16.5.1", "16.5.2", "16.5.3",
	} {
		want = append(want, "ASVS-"+more)
	}
	for _, id := range want {
		if ids[id] != 1 {
			t.Errorf("%s stands there %d times", id, ids[id])
		}
	}
}

func TestWhatIsNamedHasToExist(t *testing.T) {
	all := slices.Concat(vulnerabilities)
	defer func() { vulnerabilities = all }()
	vulnerabilities = []vulnerability{
		{number: "T-01", tests: []string{"TestThatIsNotThere"}},
		{number: "T-02"},
	}
	_, err := render([]test{{"TestX", "x_test.go", []string{"ASVS-99.9"}}})
	for _, want := range []string{"T-01 names TestThatIsNotThere", "T-02 needs", "TestX names ASVS-99.9", "ASVS-7.2.4 has no test"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}
