// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A variable that hides another: gcc's and clang's -Wshadow. */
int main(int argc, char **argv)
{
	int sum = 0;

	for (int i = 0; i < argc; i++) {
		int sum = argv[i][0];

		if (sum == '-')
			return 1;
	}
	return sum;
}
