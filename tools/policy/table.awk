# SPDX-License-Identifier: GPL-2.0-only OR MIT
# From the table of `policy main`: the hits of 100 requests in a cache of 10 % of
# the working set, in Markdown; and with zipf-0.9 the bytes copied for 100 inserted.
# What is built stands out.
function mark(text) {
	return policy[j] == "log-SIEVE" ? "**" text "**" : text
}
BEGIN {
	FS = "\t"
	n = split("zipf-0.7 zipf-0.9 zipf-0.99 zipf-1.2 shift scan echo loop-1.2 loop-2", workload, " ")
	m = split("LRU CLOCK SIEVE S3-FIFO log-FIFO log-CLOCK log-S3 log-S3-ahead " \
		"log-S3-no-ghost log-SIEVE-at-need log-SIEVE-clearing log-SIEVE-staying " \
		"log-SIEVE", policy, " ")
}
$3 == 10 && $1 == "main" {
	hits[$4, $2] = sprintf("%.1f", 100 * $5)
	if ($2 == "zipf-0.9")
		copied[$4] = $7 == "-" ? "" : sprintf("%.0f", 100 * $7)
}
END {
	line = "| |"
	rule = "|---|"
	for (i = 1; i <= n; i++) {
		line = line " " workload[i] " |"
		rule = rule "--:|"
	}
	print line " copied |"
	print rule "--:|"
	for (j = 1; j <= m; j++) {
		line = "| " mark(policy[j]) " |"
		for (i = 1; i <= n; i++)
			line = line " " mark(hits[policy[j], workload[i]]) " |"
		print line " " mark(copied[policy[j]]) " |"
	}
}
