// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* One element too far: cppcheck. */
int main(void)
{
	int a[4];
	int i, sum = 0;

	for (i = 0; i < 4; i++)
		a[i] = i;
	for (i = 0; i < 4; i++)
		sum += a[i];
	return sum + a[4];
}
