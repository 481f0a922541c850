//! Disjoint sets of the numbers 0..n, as trees that unite (union-find).

/// Disjoint sets. Each is a tree, known by its root.
#[derive(Debug, Clone)]
pub struct UnionFind {
    /// The next node toward the root; a root is its own.
    up: Vec<u32>,
    /// Numbers in a root's set.
    size: Vec<u32>,
}

impl UnionFind {
    /// The numbers 0..n, each alone.
    pub fn new(n: usize) -> Self {
        Self { up: (0..n as u32).collect(), size: vec![1; n] }
    }

    /// The root of a node's set. The way there is halved for those who ask later.
    pub fn root(&mut self, mut node: u32) -> u32 {
        while self.up[node as usize] != node {
            let next = self.up[self.up[node as usize] as usize];
            self.up[node as usize] = next;
            node = next;
        }
        node
    }

    /// The same, with the trees left as they are: for one who reads the way to the root afterwards. It is
    /// short where sets are united by size.
    pub fn root_of(&self, mut node: u32) -> u32 {
        while self.up[node as usize] != node {
            node = self.up[node as usize];
        }
        node
    }

    /// The next node toward the root; a root is its own.
    pub fn up(&self, node: u32) -> u32 {
        self.up[node as usize]
    }

    /// Numbers in the set of a root.
    pub fn size(&self, root: u32) -> u32 {
        self.size[root as usize]
    }

    /// Hang the tree of one root below another root.
    pub fn hang(&mut self, root: u32, below: u32) {
        debug_assert!(root != below && self.up(root) == root && self.up(below) == below);
        self.up[root as usize] = below;
        self.size[below as usize] += self.size[root as usize];
    }

    /// Unite the sets of two different roots, the smaller below the larger, of equal ones the first below the
    /// second; returns them in this order.
    pub fn unite_roots(&mut self, a: u32, b: u32) -> (u32, u32) {
        let (small, large) = if self.size(a) <= self.size(b) { (a, b) } else { (b, a) };
        self.hang(small, large);
        (small, large)
    }

    /// Unite the sets of two nodes; whether they were two.
    pub fn unite(&mut self, a: u32, b: u32) -> bool {
        let (a, b) = (self.root(a), self.root(b));
        if a != b {
            self.unite_roots(a, b);
        }
        a != b
    }

    /// A label of each number, the same for those of a set: its root.
    pub fn into_labels(mut self) -> Vec<u32> {
        (0..self.up.len() as u32).map(|node| self.root(node)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_those_that_pairs_connect() {
        let mut sets = UnionFind::new(6);
        assert!(sets.unite(0, 1) && sets.unite(2, 3) && sets.unite(1, 3));
        assert!(!sets.unite(0, 2) && !sets.unite(4, 4));
        let root = sets.root(0);
        assert_eq!((sets.size(root), sets.root_of(3)), (4, root));
        let labels = sets.into_labels();
        assert_eq!(labels[..4], [root; 4]);
        assert_eq!(labels[4..], [4, 5]);
    }

    #[test]
    fn the_smaller_set_goes_below_the_larger() {
        let mut sets = UnionFind::new(4);
        assert_eq!(sets.unite_roots(0, 1), (0, 1));
        assert_eq!(sets.unite_roots(1, 2), (2, 1));
        sets.hang(1, 3);
        assert_eq!((sets.up(0), sets.root_of(0), sets.size(3)), (1, 3, 4));
        assert_eq!((sets.root(0), sets.up(0)), (3, 3));
    }
}
