//! Names for runs that were given none: an adjective, a noun and a number, such as `keen-otter-417`.

use uuid::Uuid;

const ADJECTIVES: [&str; 64] = [
    "able", "airy", "amber", "ample", "avid", "bold", "brave", "brisk", "calm", "clear", "clever",
    "cosy", "crisp", "daring", "deft", "eager", "early", "fair", "fancy", "fine", "firm", "fleet",
    "fond", "frank", "fresh", "gentle", "glad", "golden", "good", "grand", "green", "handy",
    "happy", "hardy", "honest", "jolly", "keen", "kind", "lively", "loyal", "lucky", "mellow",
    "merry", "mild", "neat", "nimble", "noble", "placid", "proud", "quick", "quiet", "rapid",
    "ready", "serene", "sharp", "smart", "steady", "sunny", "swift", "tidy", "vivid", "warm",
    "wise", "witty",
];

const NOUNS: [&str; 64] = [
    "alder", "aspen", "badger", "beaver", "birch", "bison", "brook", "cedar", "comet", "condor",
    "crane", "creek", "dingo", "dune", "eagle", "egret", "falcon", "fern", "finch", "fjord", "fox",
    "gecko", "glade", "grove", "gull", "hare", "hazel", "heron", "ibis", "jay", "kestrel", "koala",
    "lark", "lemur", "linden", "lynx", "maple", "marten", "meadow", "moose", "newt", "oak",
    "ocelot", "orca", "osprey", "otter", "owl", "panda", "pine", "plover", "puffin", "quail",
    "raven", "robin", "rowan", "seal", "shrew", "sparrow", "swan", "tern", "trout", "walrus",
    "willow", "wren",
];

/// A name of at most 20 characters, made of random bits.
pub fn random() -> String {
    let bits = Uuid::new_v4().as_u128();
    let adjective = ADJECTIVES[(bits % 64) as usize];
    let noun = NOUNS[((bits >> 8) % 64) as usize];
    let number = (bits >> 16) as u32 % 1000;
    format!("{adjective}-{noun}-{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_differ() {
        let longest = |words: &[&str]| words.iter().map(|word| word.len()).max().unwrap();
        assert!(longest(&ADJECTIVES) + longest(&NOUNS) + 5 <= 20);
        assert_ne!(random(), random());
    }
}
