fn main() {
    let a: Vec<u64> = std::env::args().skip(1).map(|a| a.parse().unwrap()).collect();
    for seed in a[0]..a[1] {
        let t = std::time::Instant::now();
        let o = simulator::run(simulator::Options { seed, hosts: 5, days: 1 }, 200_000);
        println!("{seed} {:?} {:?} {:x?} {:?} {:?}", t.elapsed(), o.counts, o.fingerprint, o.faults, o.lasted);
        for v in &o.violations { println!("  {v}"); }
        if a.len() > 2 { for l in &o.lines { println!("{l}"); } }
    }
}
