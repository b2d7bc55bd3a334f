//! x
/// Expected AUC
pub fn expected_auc(scores: &[f64], p: &[f64]) -> f64 {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_unstable_by(|&a, &b| scores[a as usize].total_cmp(&scores[b as usize]));
    let (mut below, mut wins) = (0.0, 0.0);
    let mut i = 0;
    let mut own = 0.0;
    while i < order.len() {
        let mut j = i;
        let (mut pos, mut neg, mut diag) = (0.0, 0.0, 0.0);
        while j < order.len() && scores[order[j] as usize] == scores[order[i] as usize] {
            let q = p[order[j] as usize];
            pos += q; neg += 1.0 - q; diag += q * (1.0 - q);
            j += 1;
        }
        wins += pos * below + 0.5 * (pos * neg - diag);
        below += neg; own += diag;
        i = j;
    }
    let total: f64 = p.iter().sum();
    wins / (total * below - own)
}
