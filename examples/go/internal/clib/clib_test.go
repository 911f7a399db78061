package clib

// SPDX-License-Identifier: MIT

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// lib.c has all that lib/sources.mk lists, and nothing else.
func TestSources(t *testing.T) {
	list, err := os.ReadFile("../../../../lib/sources.mk")
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile("lib.c")
	if err != nil {
		t.Fatal(err)
	}
	listed := regexp.MustCompile(`lib/\S+\.c`).FindAllString(string(list), -1)
	var included []string
	for _, match := range regexp.MustCompile(`(?m)^#include "../../../../(\S+)"$`).FindAllStringSubmatch(string(file), -1) {
		included = append(included, match[1])
	}
	if len(listed) < 40 || strings.Join(listed, " ") != strings.Join(included, " ") {
		t.Errorf("lib/sources.mk lists\n%v\nlib.c has\n%v", listed, included)
	}
}
