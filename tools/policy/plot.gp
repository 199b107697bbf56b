# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Draws `picture` from the main study in `data`: a panel for each workload, a
# group of bars for each size of the cache, a bar for each policy: how many more
# of 100 requests hit than with LRU. LRU's own hits stand below.

set terminal svg size 1000,840 font "sans-serif,13" background "white" noenhanced
set output picture

policies = "SIEVE S3-FIFO log-FIFO log-CLOCK log-S3 log-SIEVE"
workloads = "zipf-0.7 zipf-0.9 zipf-0.99 zipf-1.2 shift scan echo loop-1.2 loop-2"

# Lists in greys, logs in colours; red and last, what is built.
array colour[6] = ["#b0b0b0", "#707070", "#f0c674", "#de935f", "#81a2be", "#c01030"]

# Lines of: size of the cache, hits with LRU, and how many more.
rows(w, p) = sprintf("< awk -F'\\t' '$1 == \"main\" && $2 == \"%s\" && $4 == \"LRU\" { lru[$3] = $5 } ".\
	"$1 == \"main\" && $2 == \"%s\" && $4 == \"%s\" { print $3, 100 * lru[$3], 100 * ($5 - lru[$3]) }' %s", \
	w, w, p, data)
label(size, hits) = sprintf("%g %%\nLRU %.0f", size, hits)

set style data histograms
set style histogram clustered gap 1.5
set style fill solid
set boxwidth 1 relative
set xrange [-0.6:2.6]
set xtics nomirror scale 0
set ytics nomirror
set grid ytics linetype 1 linecolor "#d8d8d8" linewidth 0.5
set border 2
set xzeroaxis linetype 1 linecolor "#000000"
unset key
set label 99 "Hits of 100 requests more than LRU has, by cache size in % of the working set; below: LRU's" at screen 0.06,0.985
do for [i = 1:words(policies)] {
	x = 0.06 + 0.155 * (i - 1)
	set object i rectangle from screen x, 0.95 to screen x + 0.03, 0.966 \
		fillcolor rgb colour[i] fillstyle solid noborder
	name = word(policies, i)
	set label i name.(name eq "log-SIEVE" ? " (built)" : "") at screen x + 0.037, 0.958 left
}

set multiplot layout 3,3 margins 0.045,0.99,0.065,0.905 spacing 0.045,0.105
do for [w in workloads] {
	set title w offset 0,-0.6
	if (w[1:4] eq "loop") {
		set yrange [0:80]
		set ytics 20
	} else {
		set yrange [-6:14]
		set ytics 4
	}
	plot for [i = 1:words(policies)] rows(w, word(policies, i)) \
		using 3:xtic(label($1, $2)) linecolor rgb colour[i]
	unset object	# the key: once is enough
	unset label
}
