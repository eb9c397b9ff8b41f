//! The Solidity interface in alloy's types. Private: the rest of the room turns it into newtypes that other rooms may
//! hold. `tests` below keeps every selector here equal to the compiled artifact.

use alloy::sol;
use alloy::sol_types::Eip712Domain;

use crate::Address;

sol! {
    struct Withdraw {
        address account;
        address to;
        uint256 amount;
        uint256 fee;
        address relayer;
        uint256 nonce;
        uint256 deadline;
    }

    /// Signed by the poster.
    struct Refund {
        address publisher;
        uint256 refunded;
        uint256 spent;
        uint256 deadline;
    }

    /// Signed by a wallet for the coordinator; never reaches the chain.
    struct BindNode {
        bytes32 nodeId;
        address payout;
        uint256 issuedAt;
        uint256 expiresAt;
        uint256 nonce;
    }

    /// ERC-3009.
    struct ReceiveWithAuthorization {
        address from;
        address to;
        uint256 value;
        uint256 validAfter;
        uint256 validBefore;
        bytes32 nonce;
    }

    interface IToken {
        function balanceOf(address account) external view returns (uint256);
        function totalSupply() external view returns (uint256);
        function transfer(address to, uint256 value) external returns (bool);
        function approve(address spender, uint256 value) external returns (bool);
        function allowance(address owner, address spender) external view returns (uint256);
        function authorizationState(address authorizer, bytes32 nonce) external view returns (bool);

        event Transfer(address indexed from, address indexed to, uint256 value);

        error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed);
        error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed);
        error ERC3009InvalidSignature();
        error ERC3009InvalidAuthorizationTime(uint256 validAfter, uint256 validBefore);
        error ERC3009UsedAuthorization(address authorizer, bytes32 nonce);
    }

    interface IDistributor {
        struct Parameters {
            address token;
            address admin;
            address guardian;
            address poster;
            uint32 challengeDelay;
            uint32 refundDelay;
            uint16 keptRoots;
            uint256 epochCap;
        }
        struct Claim {
            address account;
            uint256 cumulative;
            bytes32[] proof;
        }
        struct Spend {
            address publisher;
            uint256 spent;
        }
        struct Publisher {
            uint104 deposited;
            uint104 refunded;
            uint104 spent;
            uint104 requested;
            uint48 refundableAt;
        }
        struct Pending {
            bytes32 root;
            uint104 total;
            uint48 epoch;
            uint48 activeAt;
        }

        constructor(Parameters p);

        function token() external view returns (address);
        function owner() external view returns (address);
        function guardian() external view returns (address);
        function poster() external view returns (address);
        function challengeDelay() external view returns (uint32);
        function refundDelay() external view returns (uint32);
        function keptRoots() external view returns (uint16);
        function epochCap() external view returns (uint104);
        function paused() external view returns (bool);
        function paid() external view returns (uint104);
        function total() external view returns (uint104);
        function totalSpent() external view returns (uint104);
        function activeEpoch() external view returns (uint48);
        function pending() external view returns (Pending);
        function publisherOf(address publisher) external view returns (Publisher);
        function claimed(address account) external view returns (uint256);
        function epochOf(bytes32 root) external view returns (uint256);
        function isActive(bytes32 root) external view returns (bool);
        function nonceUsed(address account, uint256 nonce) external view returns (bool);

        function deposit(uint256 amount) external;
        function depositWithAuthorization(address publisher, uint256 amount, uint256 validBefore, bytes32 salt, uint8 v, bytes32 r, bytes32 s) external;
        function attestSpend(Spend[] spends) external;
        function refund(address publisher, uint256 refunded, uint256 spent, uint256 deadline, bytes signature) external;
        function requestRefund(uint256 amount) external;
        function finishRefund() external;
        function propose(uint256 epoch, bytes32 root, uint256 newTotal, bytes32 manifest, Spend[] spends) external;
        function activate() external;
        function veto() external;
        function revoke(bytes32 root) external;
        function claim(address account, uint256 cumulative, bytes32[] proof) external;
        function claimMany(Claim[] claims) external;
        function claimTo(Withdraw w, uint256 cumulative, bytes32[] proof, bytes signature) external;
        function sendTo(Withdraw w, uint8 v, bytes32 r, bytes32 s) external;
        function claimAndSendTo(Withdraw w, uint256 cumulative, bytes32[] proof, uint8 v, bytes32 r, bytes32 s) external;
        function cancelNonce(uint256 nonce) external;
        function pause() external;
        function unpause() external;

        event Deposited(address indexed publisher, uint256 amount);
        event SpendAttested(address indexed publisher, uint256 spent);
        event RefundRequested(address indexed publisher, uint256 amount, uint256 refundableAt);
        event Refunded(address indexed publisher, uint256 amount);
        event Proposed(uint256 indexed epoch, bytes32 root, uint256 total, bytes32 manifest, uint256 activeAt);
        event Vetoed(uint256 indexed epoch, bytes32 root);
        event Activated(uint256 indexed epoch, bytes32 root, uint256 total);
        event Revoked(uint256 indexed epoch, bytes32 root);
        event Claimed(address indexed account, uint256 amount);
        event Withdrawn(address indexed account, address indexed to, uint256 amount, uint256 fee, address relayer, uint256 nonce);
        event NonceCancelled(address indexed account, uint256 nonce);
        event PausedSet(bool paused);
        event RolesSet(address indexed guardian, address indexed poster);
        event LimitsSet(uint256 challengeDelay, uint256 refundDelay, uint256 keptRoots, uint256 epochCap);

        error NotPoster();
        error NotGuardian();
        error IsPaused();
        error BadParameter();
        error NothingToPay();
        error ExceedsUnspent(uint256 wanted, uint256 unspent);
        error SpendDecreased(address publisher);
        error WrongEpoch(uint256 expected);
        error AlreadyPending();
        error NothingPending();
        error TooEarly(uint256 activeAt);
        error TotalDecreased();
        error ExceedsEpochCap(uint256 growth, uint256 cap);
        error NotFunded(uint256 wanted, uint256 spent);
        error UnknownRoot(bytes32 root);
        error ExceedsClaimable(uint256 wanted, uint256 claimable);
        error ExceedsTotal();
        error Expired();
        error WrongSigner();
        error NonceUsed();
        error ECDSAInvalidSignature();
        error ECDSAInvalidSignatureLength(uint256 length);
        error ECDSAInvalidSignatureS(bytes32 s);
    }
}

/// The EIP-712 domain of the distributor at `distributor` on chain `chain_id`.
pub(crate) fn distributor_domain(chain_id: u64, distributor: Address) -> Eip712Domain {
    alloy::sol_types::eip712_domain! {
        name: "Hearth Distributor",
        version: "1",
        chain_id: chain_id,
        verifying_contract: distributor.to_alloy(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use alloy::sol_types::{SolEvent, SolEventInterface, SolInterface};
    use serde_json::Value;

    use super::{IDistributor, IToken};
    use crate::artifact;

    fn selectors_of(artifact: &str) -> BTreeSet<String> {
        let value: Value = serde_json::from_str(artifact).expect("the artifact is JSON");
        let selectors = value["selectors"].as_object().expect("selectors");
        selectors.values().map(|s| s.as_str().expect("a selector is text").to_owned()).collect()
    }

    /// The canonical signature of an event or error in the artifact's ABI, e.g. `Claimed(address,uint256)`.
    fn signatures_of(artifact: &str, kind: &str) -> BTreeSet<String> {
        let value: Value = serde_json::from_str(artifact).expect("the artifact is JSON");
        let of_kind = |e: &&Value| e["type"] == kind;
        let abi = value["abi"].as_array().expect("abi");
        abi.iter()
            .filter(of_kind)
            .map(|e| {
                let inputs = e["inputs"].as_array().expect("inputs");
                let types: Vec<_> = inputs.iter().map(|i| i["type"].as_str().expect("type")).collect();
                format!("{}({})", e["name"].as_str().expect("name"), types.join(","))
            })
            .collect()
    }

    #[test]
    fn every_call_that_rust_makes_exists_in_the_compiled_contract() {
        let compiled = selectors_of(artifact::DISTRIBUTOR_JSON);
        for selector in IDistributor::IDistributorCalls::selectors() {
            assert!(
                compiled.contains(&hex::encode(selector)),
                "no function with selector {selector:?} in Distributor"
            );
        }
        let compiled = selectors_of(artifact::EMBER_JSON);
        for selector in IToken::ITokenCalls::selectors() {
            assert!(
                compiled.contains(&hex::encode(selector)),
                "no function with selector {selector:?} in Ember"
            );
        }
    }

    #[test]
    fn every_error_and_event_that_rust_reads_exists_in_the_compiled_contract() {
        let errors = signatures_of(artifact::DISTRIBUTOR_JSON, "error");
        let compiled: BTreeSet<[u8; 4]> = errors.iter().map(|s| first4(s)).collect();
        for selector in IDistributor::IDistributorErrors::selectors() {
            assert!(compiled.contains(&selector), "no error with selector {selector:?} in Distributor");
        }
        let events = signatures_of(artifact::DISTRIBUTOR_JSON, "event");
        let compiled: BTreeSet<[u8; 32]> =
            events.iter().map(|s| crate::Hash32::keccak(s.as_bytes()).0).collect();
        for topic in IDistributor::IDistributorEvents::SELECTORS {
            assert!(compiled.contains(topic), "no event with topic {topic:?} in Distributor");
        }
        assert_eq!(IToken::Transfer::SIGNATURE, "Transfer(address,address,uint256)");
        assert_eq!(
            IDistributor::IDistributorEvents::COUNT + 2,
            events.len(),
            "two more events are Ownable2Step's"
        );
    }

    fn first4(signature: &str) -> [u8; 4] {
        let hash = crate::Hash32::keccak(signature.as_bytes()).0;
        [hash[0], hash[1], hash[2], hash[3]]
    }
}
