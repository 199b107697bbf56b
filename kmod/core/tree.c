// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Search trees by a unique 64-bit number: a client's waits by cookie, a cache's
 * deadlines by time. Each is a treap: also a heap on a priority, which is a keyed
 * mix of the number, so that a client which picks its numbers cannot make the tree
 * deep. Depth is logarithmic in expectation, at no memory beside the two children.
 */
#include "core.h"

/** alz_tree_find() - Return: the node of this key, or NULL */
struct alz_node *alz_tree_find(struct alz_node *root, u64 key)
{
	while (root && root->key != key)
		root = root->child[key > root->key];
	return root;
}

/** alz_tree_first() - Return: the node of the smallest key, or NULL */
struct alz_node *alz_tree_first(struct alz_node *root)
{
	while (root && root->child[0])
		root = root->child[0];
	return root;
}

/* Split the tree at @node into those below @key and those above. */
static void alz_tree_split(struct alz_node *node, u64 key, struct alz_node **below,
			   struct alz_node **above)
{
	while (node) {
		if (node->key < key) {
			*below = node;
			below = &node->child[1];
			node = *below;
		} else {
			*above = node;
			above = &node->child[0];
			node = *above;
		}
	}
	*below = NULL;
	*above = NULL;
}

/** alz_tree_add() - @node has its key, which is not in the tree */
void alz_tree_add(const struct alz_cache *cache, struct alz_node **root,
		  struct alz_node *node)
{
	u64 priority = alz_mix(cache, node->key);

	while (*root && alz_mix(cache, (*root)->key) >= priority)
		root = &(*root)->child[node->key > (*root)->key];
	alz_tree_split(*root, node->key, &node->child[0], &node->child[1]);
	*root = node;
}

/** alz_tree_del() - take a node out; it is in the tree */
void alz_tree_del(const struct alz_cache *cache, struct alz_node **root,
		  struct alz_node *node)
{
	struct alz_node *below = node->child[0];
	struct alz_node *above = node->child[1];

	while (*root != node)
		root = &(*root)->child[node->key > (*root)->key];
	while (below && above) {
		if (alz_mix(cache, below->key) >= alz_mix(cache, above->key)) {
			*root = below;
			root = &below->child[1];
			below = *root;
		} else {
			*root = above;
			root = &above->child[0];
			above = *root;
		}
	}
	*root = below ? below : above;
}
