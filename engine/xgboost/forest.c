/*
 * A tree arrives as parallel arrays of num_nodes values. What makes walking it safe,
 * and is verified here: node 0 is the root; an inner node's two children are
 * different, in range, and name it as their parent, which gives each node one way in;
 * a walk from the root reaches every node but those that pruning marked as deleted.
 */
#include "engine/xgboost/forest.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "engine/base/alloc.h"

#define NODES_MAX ((size_t)1 << 28)
#define CATEGORY_MAX (1 << 24)
#define WORDS_MAX ((size_t)64 << 20)
#define DELETED_FEATURE INT32_MAX
#define NO_PARENT INT32_MAX

/* One tree's arrays, in one allocation. */
typedef struct arrays {
  size_t count;
  int64_t *left, *right, *parent, *feature, *default_left, *split_type;
  int64_t *queue, *place; /* the nodes that a walk reaches, breadth first, and where each stands there */
  size_t num_reached;
  float *value;
} arrays;

static mle_status malformed(mle_error *err, const char *what) {
  return mle_fail(err, MLE_EFORMAT, "%s", what);
}

/* ====== Reading the arrays ====== */

static mle_status get_ints(const mle_node *tree, const char *name, size_t count, int64_t *out,
                           mle_error *err) {
  if (mle_node_ints(mle_node_member(tree, name), count, out)) return MLE_OK;
  return mle_fail(err, MLE_EFORMAT, "%s must be %zu integers", name, count);
}

static mle_status get_floats(const mle_node *tree, const char *name, size_t count, float *out,
                             mle_error *err) {
  if (mle_node_floats(mle_node_member(tree, name), count, out)) return MLE_OK;
  return mle_fail(err, MLE_EFORMAT, "%s must be %zu numbers", name, count);
}

static mle_status get_num_nodes(const mle_node *tree, size_t *out, mle_error *err) {
  const mle_node *param = mle_node_member(tree, "tree_param");
  int64_t count, leaf_size = 1;
  if (!mle_node_text_int(mle_node_member(param, "num_nodes"), &count) || count < 1 ||
      (uint64_t)count > NODES_MAX)
    return malformed(err, "num_nodes must be a number from 1");
  mle_node_text_int(mle_node_member(param, "size_leaf_vector"), &leaf_size);
  if (leaf_size > 1)
    return mle_fail(err, MLE_EUNSUPPORTED,
                    "its leaves are vectors (multi_strategy = multi_output_tree), which are not "
                    "read here; train with multi_strategy = one_output_per_tree");
  const mle_node *left = mle_node_member(tree, "left_children");
  if (!mle_node_is_array(left) || left->count != (size_t)count)
    return malformed(err, "left_children must have num_nodes values");
  *out = (size_t)count;
  return MLE_OK;
}

static mle_status arrays_init(arrays *a, size_t count, mle_error *err) {
  int64_t *block = mle_realloc_array(NULL, count, 8 * sizeof(int64_t) + sizeof(float));
  if (block == NULL) return mle_nomem(err, "reading a tree");
  *a = (arrays){
      .count = count,
      .left = block,
      .right = block + count,
      .parent = block + 2 * count,
      .feature = block + 3 * count,
      .default_left = block + 4 * count,
      .split_type = block + 5 * count,
      .queue = block + 6 * count,
      .place = block + 7 * count,
      .value = (float *)(block + 8 * count),
  };
  return MLE_OK;
}

static void arrays_release(arrays *a) { mle_free(a->left); }

/* The statistics are not used here, but XGBoost's loader reads them by num_nodes. */
static mle_status check_statistics(const mle_node *tree, arrays *a, mle_error *err) {
  static const char *const names[] = {"base_weights", "loss_changes", "sum_hessian"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    MLE_TRY(get_floats(tree, names[i], a->count, a->value, err));
  return MLE_OK;
}

static mle_status arrays_read(arrays *a, const mle_node *tree, mle_error *err) {
  MLE_TRY(check_statistics(tree, a, err));
  MLE_TRY(get_ints(tree, "left_children", a->count, a->left, err));
  MLE_TRY(get_ints(tree, "right_children", a->count, a->right, err));
  MLE_TRY(get_ints(tree, "parents", a->count, a->parent, err));
  MLE_TRY(get_ints(tree, "split_indices", a->count, a->feature, err));
  MLE_TRY(get_ints(tree, "default_left", a->count, a->default_left, err));
  if (mle_node_member(tree, "split_type") == NULL)
    memset(a->split_type, 0, a->count * sizeof *a->split_type); /* before XGBoost 1.3 */
  else
    MLE_TRY(get_ints(tree, "split_type", a->count, a->split_type, err));
  return get_floats(tree, "split_conditions", a->count, a->value, err);
}

/* ====== Its shape ====== */

static bool is_leaf(const arrays *a, int64_t i) { return a->left[i] == -1; }

static bool is_deleted(const arrays *a, int64_t i) {
  return i > 0 && is_leaf(a, i) && a->feature[i] == DELETED_FEATURE && a->default_left[i] != 0;
}

static bool is_child_of(const arrays *a, int64_t child, int64_t parent) {
  return child > 0 && child < (int64_t)a->count && a->parent[child] == parent;
}

static mle_status check_node(const arrays *a, int64_t i, size_t num_features, mle_error *err) {
  if (a->feature[i] < 0 || (uint64_t)a->feature[i] >= num_features)
    return mle_fail(err, MLE_EFORMAT, "node %d splits on feature %lld of %zu", (int)i,
                    (long long)a->feature[i], num_features);
  if (a->split_type[i] < 0 || a->split_type[i] > 1 || a->default_left[i] < 0 ||
      a->default_left[i] > 1)
    return mle_fail(err, MLE_EFORMAT, "node %d: split_type and default_left are 0 or 1", (int)i);
  if (is_leaf(a, i)) {
    if (a->right[i] == -1) return MLE_OK;
    return mle_fail(err, MLE_EFORMAT, "node %d is half a leaf", (int)i);
  }
  if (a->left[i] == a->right[i] || !is_child_of(a, a->left[i], i) ||
      !is_child_of(a, a->right[i], i))
    return mle_fail(err, MLE_EFORMAT, "node %d: its children and their parents disagree", (int)i);
  return MLE_OK;
}

/* Breadth first. The queue cannot overflow: each node names one parent. */
static mle_status check_shape(arrays *a, size_t num_features, mle_error *err) {
  size_t tail = 0, deleted = 0;
  if (a->parent[0] != NO_PARENT && a->parent[0] != -1)
    return malformed(err, "the root has a parent");
  a->queue[tail++] = 0;
  for (size_t head = 0; head < tail; head++) {
    int64_t i = a->queue[head];
    MLE_TRY(check_node(a, i, num_features, err));
    a->place[i] = (int64_t)head;
    if (is_leaf(a, i)) continue;
    a->queue[tail++] = a->left[i];
    a->queue[tail++] = a->right[i];
  }
  for (size_t i = 0; i < a->count; i++) deleted += is_deleted(a, (int64_t)i);
  a->num_reached = tail;
  if (tail + deleted != a->count) return malformed(err, "some nodes hang on no other");
  return MLE_OK;
}

static mle_status check_deleted(const mle_node *tree, const arrays *a, mle_error *err) {
  const mle_node *param = mle_node_member(tree, "tree_param");
  int64_t wanted = 0, deleted = 0;
  mle_node_text_int(mle_node_member(param, "num_deleted"), &wanted);
  for (size_t i = 0; i < a->count; i++) deleted += is_deleted(a, (int64_t)i);
  return deleted == wanted ? MLE_OK : malformed(err, "num_deleted differs from the deleted nodes");
}

/* ====== Categories ====== */

/* The lists of which node takes which part of `category`, in one allocation. */
typedef struct category_lists {
  size_t num_nodes, num_categories;
  int64_t *node, *segment, *size, *category;
} category_lists;

static bool get_lists(const mle_node *tree, category_lists *l) {
  return mle_node_ints(mle_node_member(tree, "categories_nodes"), l->num_nodes, l->node) &&
         mle_node_ints(mle_node_member(tree, "categories_segments"), l->num_nodes, l->segment) &&
         mle_node_ints(mle_node_member(tree, "categories_sizes"), l->num_nodes, l->size) &&
         mle_node_ints(mle_node_member(tree, "categories"), l->num_categories, l->category);
}

static mle_status lists_read(category_lists *l, const mle_node *tree, mle_error *err) {
  const mle_node *nodes = mle_node_member(tree, "categories_nodes");
  const mle_node *categories = mle_node_member(tree, "categories");
  *l = (category_lists){0};
  if (nodes == NULL) return MLE_OK; /* before XGBoost 1.3 */
  if (!mle_node_is_array(nodes) || !mle_node_is_array(categories))
    return malformed(err, "categories must be arrays");
  l->num_nodes = nodes->count;
  l->num_categories = categories->count;
  l->node = mle_realloc_array(NULL, 3 * l->num_nodes + l->num_categories, sizeof *l->node);
  if (l->node == NULL) return mle_nomem(err, "reading a tree's categories");
  l->segment = l->node + l->num_nodes;
  l->size = l->segment + l->num_nodes;
  l->category = l->size + l->num_nodes;
  return get_lists(tree, l) ? MLE_OK : malformed(err, "the arrays of categories differ in length");
}

/* The largest category of the i-th list; -1 when one is out of bounds or there is none. */
static int64_t largest_category(const category_lists *l, size_t i) {
  int64_t largest = -1, first = l->segment[i], size = l->size[i];
  int64_t count = (int64_t)l->num_categories;
  if (first < 0 || size < 0 || first > count || size > count - first) return -1;
  for (int64_t c = first; c < first + size; c++) {
    if (l->category[c] < 0 || l->category[c] >= CATEGORY_MAX) return -1;
    if (l->category[c] > largest) largest = l->category[c];
  }
  return largest;
}

/* Doubles an array so that `more` elements fit; NULL leaves it as it was. */
static void *grown(void *block, size_t *capacity, size_t used, size_t more, size_t size) {
  if (used + more <= *capacity) return block;
  size_t wanted = used + more > 2 * *capacity ? used + more : 2 * *capacity;
  void *bigger = mle_realloc_array(block, wanted, size);
  if (bigger != NULL) *capacity = wanted;
  return bigger;
}

static mle_status reserve_set(mle_forest *f, size_t words, mle_error *err) {
  if (f->num_words + words > WORDS_MAX)
    return mle_fail(err, MLE_EREFUSED, "sets of categories over 256 MiB");
  void *set = grown(f->set, &f->set_capacity, f->num_sets, 1, sizeof *f->set);
  if (set == NULL) return mle_nomem(err, "reading a tree's categories");
  f->set = set;
  void *word = grown(f->word, &f->word_capacity, f->num_words, words, sizeof *f->word);
  if (word == NULL) return mle_nomem(err, "reading a tree's categories");
  f->word = word;
  return MLE_OK;
}

static mle_status add_set(mle_forest *f, const category_lists *l, size_t i, mle_error *err) {
  int64_t largest = largest_category(l, i);
  if (largest < 0) return malformed(err, "a node's categories are out of bounds");
  size_t words = (size_t)largest / 32 + 1;
  MLE_TRY(reserve_set(f, words, err));
  uint32_t *bits = f->word + f->num_words;
  memset(bits, 0, words * sizeof *bits);
  for (int64_t c = l->segment[i]; c < l->segment[i] + l->size[i]; c++)
    bits[l->category[c] / 32] |= UINT32_C(1) << (l->category[c] % 32);
  f->set[f->num_sets++] = (mle_category_set){f->num_words, (uint32_t)words};
  f->num_words += words;
  return MLE_OK;
}

/* Every categorical node must have its set; `first` is where the tree's nodes begin.
 * A node that pruning made a leaf keeps its set in the model, and has no use for it. */
static mle_status add_sets(mle_forest *f, const arrays *a, const category_lists *l, size_t first,
                           mle_error *err) {
  size_t wanted = 0;
  for (size_t i = 0; i < a->count; i++) wanted += a->split_type[i] == 1;
  if (wanted != l->num_nodes) return malformed(err, "categorical nodes lack their categories");
  for (size_t i = 0; i < l->num_nodes; i++) {
    int64_t node = l->node[i];
    if (node < 0 || (size_t)node >= a->count || a->split_type[node] != 1 ||
        (i > 0 && node <= l->node[i - 1]))
      return malformed(err, "categories_nodes must name categorical nodes in order");
    MLE_TRY(add_set(f, l, i, err));
    if (!is_leaf(a, node)) f->node[first + (size_t)a->place[node]].key = (uint32_t)(f->num_sets - 1);
  }
  return MLE_OK;
}

/* ====== The forest ====== */

static mle_forest_node make_inner(const arrays *a, int64_t i, size_t child) {
  mle_forest_node node = {.child = (uint32_t)child, .split = (uint32_t)a->feature[i] * 2, .value = a->value[i]};
  node.key = isnan(node.value) ? MLE_KEY_ALL_RIGHT : mle_forest_key(node.value);
  if (!a->default_left[i]) node.split |= MLE_SPLIT_MISSING_RIGHT;
  if (a->split_type[i]) node.split |= MLE_SPLIT_CATEGORICAL;
  return node;
}

/* Breadth first, which puts children side by side. */
static mle_forest_tree put_nodes(const arrays *a, size_t first, mle_forest_node *out) {
  mle_forest_tree tree = {.root = (uint32_t)first};
  size_t next = 1, end_of_level = 1;
  for (size_t place = 0; place < a->num_reached; place++) {
    int64_t i = a->queue[place];
    if (place == end_of_level) {
      tree.depth++;
      end_of_level = next;
    }
    if (is_leaf(a, i)) {
      out[place] = (mle_forest_node){.child = (uint32_t)(first + place), .key = MLE_KEY_LEAF, .value = a->value[i]};
      continue;
    }
    out[place] = make_inner(a, i, first + next);
    if (a->split_type[i]) tree.is_categorical = true;
    next += 2;
  }
  return tree;
}

static mle_status reserve_tree(mle_forest *f, size_t count, mle_error *err) {
  if (f->num_nodes + count > NODES_MAX)
    return mle_fail(err, MLE_EREFUSED, "more than %zu nodes in all", NODES_MAX);
  void *node = grown(f->node, &f->node_capacity, f->num_nodes, count, sizeof *f->node);
  if (node == NULL) return mle_nomem(err, "reading a tree");
  f->node = node;
  void *tree = grown(f->tree, &f->tree_capacity, f->num_trees, 1, sizeof *f->tree);
  if (tree == NULL) return mle_nomem(err, "reading a tree");
  f->tree = tree;
  return MLE_OK;
}

static mle_status append(mle_forest *f, const arrays *a, const category_lists *l, mle_error *err) {
  size_t first = f->num_nodes;
  MLE_TRY(reserve_tree(f, a->num_reached, err));
  f->tree[f->num_trees++] = put_nodes(a, first, f->node + first);
  f->num_nodes += a->num_reached;
  return add_sets(f, a, l, first, err);
}

mle_status mle_forest_add(mle_forest *forest, const mle_node *tree, size_t num_features,
                          mle_error *err) {
  arrays a = {0};
  category_lists lists = {0};
  size_t count = 0;
  mle_status status;
  MLE_TRY(get_num_nodes(tree, &count, err));
  MLE_GO(arrays_init(&a, count, err));
  MLE_GO(arrays_read(&a, tree, err));
  MLE_GO(check_shape(&a, num_features, err));
  MLE_GO(check_deleted(tree, &a, err));
  MLE_GO(lists_read(&lists, tree, err));
  MLE_GO(append(forest, &a, &lists, err));
done:
  arrays_release(&a);
  mle_free(lists.node);
  return status;
}

void mle_forest_release(mle_forest *forest) {
  mle_free(forest->node);
  mle_free(forest->tree);
  mle_free(forest->set);
  mle_free(forest->word);
  *forest = (mle_forest){0};
}
