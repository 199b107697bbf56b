# SPDX-License-Identifier: GPL-2.0-only OR MIT
# make policy: simulate ways to evict, and draw the picture that
# kmod/Documentation/eviction.md shows, and its table. The same seed, the same figures.

POLICY_OBJ := $(patsubst tools/policy/%.c,$(BUILD)/policy/%.o,$(wildcard tools/policy/*.c))
POLICY_STUDIES ?= main segments sieve young ghost copy hostile

$(BUILD)/policy/%.o: tools/policy/%.c
	@mkdir -p $(@D)
	$(CC) $(WARN) $(CFLAGS) -MMD -c -o $@ $<

$(BUILD)/bin/policy: $(POLICY_OBJ)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $^ -lm

-include $(POLICY_OBJ:.o=.d)

.PHONY: policy policy-run
policy:
	@tools/deps policy
	@+$(MAKE) --no-print-directory policy-run

$(BUILD)/policy/policy.tsv: $(BUILD)/bin/policy
	@echo '# some ten minutes' >&2
	$< $(POLICY_STUDIES) >$@

# gnuplot leaves many empty groups, and says what is the default.
policy-run: $(BUILD)/policy/policy.tsv
	gnuplot -e "data='$<'; picture='$(BUILD)/policy/hit-ratio.svg'" tools/policy/plot.gp
	sed -z -e 's,<g [^>]*>\n</g>\n,,g' -e 's, stroke-linecap="butt" stroke-linejoin="miter",,g' \
		$(BUILD)/policy/hit-ratio.svg >kmod/Documentation/hit-ratio.svg
	@awk -f tools/policy/table.awk $<
	@echo 'figures: $<; picture: kmod/Documentation/hit-ratio.svg'
