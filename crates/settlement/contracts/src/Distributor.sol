// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC3009} from "@openzeppelin/contracts/interfaces/draft-IERC3009.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title Holds what publishers paid for work and pays it to the contributors who did the work.
///
/// @notice Money enters by `deposit`. The poster (the coordinator's chain key) says how much of each publisher's deposit
/// has been spent and proposes one Merkle root per epoch over (account, cumulative earnings). After `challengeDelay`,
/// in which the guardian may veto, the root is active. From then on anyone may have an account's due paid to that
/// account (`claim`), and the account's owner may send it elsewhere with a signature and no coin for gas (`claimTo`).
/// What a publisher has not spent goes back to that publisher.
///
/// What holds at every instant, kept by the invariant tests beside this file:
///   paid <= total <= totalSpent <= deposits - refunds,   balance >= deposits - refunds - paid.
///
/// What each key can do when stolen: the poster can direct at most `epochCap` per `challengeDelay`, only from deposits,
/// and is visible before it happens; the guardian can stop but never take; the owner (a timelock or multisig) can
/// replace both and change the limits, but has no way to send tokens either.
///
/// There are no immutables, so that the deployed code is byte for byte the published artifact and its hash can be
/// checked against a state proof. Tokens that take a fee on transfer or rebase are not supported.
///
/// slither.config.json leaves two detectors out: `timestamp`, because delays and deadlines here are minutes to days and a
/// block's proposer moves its clock by seconds; `costly-loop`, because `claimMany` is bounded by its caller's own gas.
contract Distributor is Ownable2Step {
    using SafeERC20 for IERC20;
    using SafeCast for uint256;

    // ------------------------------------------------------------------------------------------------ types

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

    /// A claim to what `account` has earned in all, provable against one of the active roots.
    struct Claim {
        address account;
        uint256 cumulative;
        bytes32[] proof;
    }

    /// The order of an account's owner: `to` receives exactly `amount`, `relayer` (zero: whoever submits) exactly
    /// `fee`. One nonce is used once, so two orders with the same nonce cannot both be carried out.
    struct Withdraw {
        address account;
        address to;
        uint256 amount;
        uint256 fee;
        address relayer;
        uint256 nonce;
        uint256 deadline;
    }

    /// How much of a publisher's deposits has been spent in all.
    struct Spend {
        address publisher;
        uint256 spent;
    }

    /// Amounts are held in uint104: twenty trillion tokens of 18 decimals.
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

    // ------------------------------------------------------------------------------------------------ constants

    bytes32 public constant WITHDRAW_TYPEHASH = keccak256(
        "Withdraw(address account,address to,uint256 amount,uint256 fee,address relayer,uint256 nonce,uint256 deadline)"
    );
    bytes32 public constant REFUND_TYPEHASH =
        keccak256("Refund(address publisher,uint256 refunded,uint256 spent,uint256 deadline)");
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant NAME_HASH = keccak256("Hearth Distributor");
    bytes32 private constant VERSION_HASH = keccak256("1");
    /// Keeps the token's authorizations for a deposit apart from those for a withdrawal: a signature given for one
    /// cannot be used for the other.
    bytes32 private constant DEPOSIT_TAG = keccak256("hearth/deposit/v1");

    // ------------------------------------------------------------------------------------------------ state

    /// The one token that this contract holds. Not immutable, see above.
    // slither-disable-next-line immutable-states
    IERC20 public token;
    /// Seconds between a proposal and its earliest activation.
    uint32 public challengeDelay;
    /// Seconds between a publisher's request and a refund without the poster's consent.
    uint32 public refundDelay;
    /// How many of the latest roots can be claimed against.
    uint16 public keptRoots;
    bool public paused;

    /// Sum of all claims and withdrawals ever paid.
    uint104 public paid;
    /// Sum of all leaves of the active root, the ceiling for `paid`.
    uint104 public total;
    /// Number of the latest active root; the first is 1.
    uint48 public activeEpoch;

    /// Sum of the attested spend of all publishers, the ceiling for `total`.
    uint104 public totalSpent;
    /// The most by which one epoch may raise `total`.
    uint104 public epochCap;

    address public guardian;
    address public poster;

    Pending private _pending;

    /// The epoch in which a root was activated; zero: never, or revoked.
    mapping(bytes32 root => uint256 epoch) public epochOf;
    /// What an account has received in all, fees included.
    mapping(address account => uint256 amount) public claimed;
    mapping(address account => mapping(uint256 word => uint256 bits)) private _usedNonces;
    mapping(address publisher => Publisher) private _publishers;

    // ------------------------------------------------------------------------------------------------ events

    event Deposited(address indexed publisher, uint256 amount);
    event SpendAttested(address indexed publisher, uint256 spent);
    event RefundRequested(address indexed publisher, uint256 amount, uint256 refundableAt);
    event Refunded(address indexed publisher, uint256 amount);
    event Proposed(uint256 indexed epoch, bytes32 root, uint256 total, bytes32 manifest, uint256 activeAt);
    event Vetoed(uint256 indexed epoch, bytes32 root);
    event Activated(uint256 indexed epoch, bytes32 root, uint256 total);
    event Revoked(uint256 indexed epoch, bytes32 root);
    event Claimed(address indexed account, uint256 amount);
    event Withdrawn(
        address indexed account, address indexed to, uint256 amount, uint256 fee, address relayer, uint256 nonce
    );
    event NonceCancelled(address indexed account, uint256 nonce);
    event PausedSet(bool paused);
    event RolesSet(address indexed guardian, address indexed poster);
    event LimitsSet(uint256 challengeDelay, uint256 refundDelay, uint256 keptRoots, uint256 epochCap);

    // ------------------------------------------------------------------------------------------------ errors

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

    modifier onlyPoster() {
        require(msg.sender == poster, NotPoster());
        _;
    }

    modifier onlyGuardian() {
        require(msg.sender == guardian || msg.sender == owner(), NotGuardian());
        _;
    }

    modifier whenNotPaused() {
        require(!paused, IsPaused());
        _;
    }

    constructor(Parameters memory p) Ownable(p.admin) {
        require(p.token.code.length != 0, BadParameter());
        token = IERC20(p.token);
        _setRoles(p.guardian, p.poster);
        _setLimits(p.challengeDelay, p.refundDelay, p.keptRoots, p.epochCap);
    }

    // ------------------------------------------------------------------------------------------------ publishers

    /// Pays for work to come. Needs an allowance.
    function deposit(uint256 amount) external {
        _credit(msg.sender, amount);
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// Pays for work to come with the publisher's ERC-3009 `ReceiveWithAuthorization`, whose nonce is
    /// `depositNonce(salt)` and whose `validAfter` is zero. Anyone may submit it; the deposit is `publisher`'s.
    function depositWithAuthorization(
        address publisher,
        uint256 amount,
        uint256 validBefore,
        bytes32 salt,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        _credit(publisher, amount);
        IERC3009(address(token)).receiveWithAuthorization(
            publisher, address(this), amount, 0, validBefore, depositNonce(salt), v, r, s
        );
    }

    /// Raises what publishers have spent. Spending never falls by the poster's word.
    function attestSpend(Spend[] calldata spends) external onlyPoster {
        _attest(spends);
    }

    /// Gives unspent deposit back at once, on the poster's signature over what has been refunded in all. Repeating it
    /// pays nothing, because the amount is cumulative.
    function refund(address publisher, uint256 refunded, uint256 spent, uint256 deadline, bytes calldata signature)
        external
    {
        require(block.timestamp <= deadline, Expired());
        bytes32 digest = _digest(keccak256(abi.encode(REFUND_TYPEHASH, publisher, refunded, spent, deadline)));
        require(ECDSA.recoverCalldata(digest, signature) == poster, WrongSigner());
        Publisher storage account = _publishers[publisher];
        if (spent > account.spent) _raiseSpend(publisher, spent);
        require(refunded > account.refunded, NothingToPay());
        _refund(publisher, refunded - account.refunded);
    }

    /// Announces that the publisher wants `amount` back without the poster's consent; zero takes the wish back.
    function requestRefund(uint256 amount) external {
        Publisher storage account = _publishers[msg.sender];
        require(amount <= _unspent(account), ExceedsUnspent(amount, _unspent(account)));
        uint256 refundableAt = block.timestamp + refundDelay;
        account.requested = amount.toUint104();
        account.refundableAt = refundableAt.toUint48();
        emit RefundRequested(msg.sender, amount, refundableAt);
    }

    /// Pays a requested refund after `refundDelay`, less what the poster has attested as spent meanwhile. Works while
    /// paused: no key can keep a publisher's unspent money.
    function finishRefund() external {
        Publisher storage account = _publishers[msg.sender];
        uint256 unspent = _unspent(account);
        uint256 amount = account.requested < unspent ? account.requested : unspent;
        require(amount != 0, NothingToPay());
        require(block.timestamp >= account.refundableAt, TooEarly(account.refundableAt));
        account.requested = 0;
        _refund(msg.sender, amount);
    }

    // ------------------------------------------------------------------------------------------------ epochs

    /// Proposes the tree of the next epoch: `total` is the sum of its leaves and `manifest` the hash of the published
    /// list from which anyone can rebuild `root`. `spends` is attested first, so one transaction closes an epoch.
    function propose(uint256 epoch, bytes32 root, uint256 newTotal, bytes32 manifest, Spend[] calldata spends)
        external
        onlyPoster
        whenNotPaused
    {
        _attest(spends);
        require(_pending.root == 0, AlreadyPending());
        require(root != 0, BadParameter());
        require(epoch == uint256(activeEpoch) + 1, WrongEpoch(uint256(activeEpoch) + 1));
        require(newTotal >= total, TotalDecreased());
        require(newTotal - total <= epochCap, ExceedsEpochCap(newTotal - total, epochCap));
        require(newTotal <= totalSpent, NotFunded(newTotal, totalSpent));
        uint256 activeAt = block.timestamp + challengeDelay;
        _pending = Pending(root, newTotal.toUint104(), epoch.toUint48(), activeAt.toUint48());
        emit Proposed(epoch, root, newTotal, manifest, activeAt);
    }

    /// Makes the pending root claimable once its challenge delay is over. Anyone may call it; a claim against the
    /// pending root does it by itself.
    function activate() public whenNotPaused {
        Pending memory next = _pending;
        require(next.root != 0, NothingPending());
        require(block.timestamp >= next.activeAt, TooEarly(next.activeAt));
        delete _pending;
        total = next.total;
        activeEpoch = next.epoch;
        epochOf[next.root] = next.epoch;
        emit Activated(next.epoch, next.root, next.total);
    }

    /// Throws the pending root away. Its epoch number is proposed again.
    function veto() external onlyGuardian {
        Pending memory next = _pending;
        require(next.root != 0, NothingPending());
        delete _pending;
        emit Vetoed(next.epoch, next.root);
    }

    /// Takes an active root out of use, for a wrong tree that was noticed too late.
    function revoke(bytes32 root) external onlyGuardian {
        uint256 epoch = epochOf[root];
        require(epoch != 0, UnknownRoot(root));
        delete epochOf[root];
        emit Revoked(epoch, root);
    }

    // ------------------------------------------------------------------------------------------------ contributors

    /// Pays `account` all that it has earned and not yet received. Anyone may submit it.
    function claim(address account, uint256 cumulative, bytes32[] calldata proof) external whenNotPaused {
        uint256 amount = _claimable(account, cumulative, proof);
        require(amount != 0, NothingToPay());
        _pay(account, amount);
        emit Claimed(account, amount);
        token.safeTransfer(account, amount);
    }

    /// Pays many accounts. Those with nothing due are passed over, so that one early claim does not stop the others.
    function claimMany(Claim[] calldata claims) external whenNotPaused {
        for (uint256 i = 0; i < claims.length; ++i) {
            Claim calldata c = claims[i];
            uint256 amount = _claimable(c.account, c.cumulative, c.proof);
            if (amount == 0) continue;
            _pay(c.account, amount);
            emit Claimed(c.account, amount);
            token.safeTransfer(c.account, amount);
        }
    }

    /// Carries out the owner's order out of what the account has earned and not yet received: `w.to` receives exactly
    /// `w.amount`, the relayer exactly `w.fee`, and the claimable falls by both. Anyone may submit it, and nothing in
    /// it can be changed by the one who does.
    function claimTo(Withdraw calldata w, uint256 cumulative, bytes32[] calldata proof, bytes calldata signature)
        external
        whenNotPaused
    {
        require(block.timestamp <= w.deadline, Expired());
        require(ECDSA.recoverCalldata(withdrawDigest(w), signature) == w.account, WrongSigner());
        _useNonce(w.account, w.nonce);
        uint256 claimable = _claimable(w.account, cumulative, proof);
        uint256 sum = w.amount + w.fee;
        require(sum != 0, NothingToPay());
        require(sum <= claimable, ExceedsClaimable(sum, claimable));
        _pay(w.account, sum);
        _deliver(w, _announce(w));
    }

    /// The same order for tokens that already lie in the account's wallet. The one signature is the token's ERC-3009
    /// `ReceiveWithAuthorization` over (account, this contract, amount + fee, 0, deadline) with the order's digest as
    /// nonce: whoever changes the order changes the nonce and the signature fails. It shares its nonce with `claimTo`, so
    /// an owner may sign both for one order and only one is carried out.
    function sendTo(Withdraw calldata w, uint8 v, bytes32 r, bytes32 s) external whenNotPaused {
        _send(w, v, r, s);
    }

    /// The same order out of both: what is due is first paid to the account's wallet, from where the order is carried
    /// out. Because anyone may claim for an account, this is how an order stays possible whatever others did meanwhile.
    function claimAndSendTo(
        Withdraw calldata w,
        uint256 cumulative,
        bytes32[] calldata proof,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external whenNotPaused {
        uint256 amount = _claimable(w.account, cumulative, proof);
        if (amount != 0) {
            _pay(w.account, amount);
            emit Claimed(w.account, amount);
            token.safeTransfer(w.account, amount);
        }
        _send(w, v, r, s);
    }

    /// Makes a nonce of the caller unusable, so that an order that was signed and handed out can no longer be carried
    /// out. Without coin for gas the same is done by another order with the same nonce.
    function cancelNonce(uint256 nonce) external {
        _useNonce(msg.sender, nonce);
        emit NonceCancelled(msg.sender, nonce);
    }

    // ------------------------------------------------------------------------------------------------ keys and limits

    function pause() external onlyGuardian {
        paused = true;
        emit PausedSet(true);
    }

    function unpause() external onlyOwner {
        paused = false;
        emit PausedSet(false);
    }

    function setRoles(address newGuardian, address newPoster) external onlyOwner {
        _setRoles(newGuardian, newPoster);
    }

    function setLimits(uint32 newChallengeDelay, uint32 newRefundDelay, uint16 newKeptRoots, uint256 newEpochCap)
        external
        onlyOwner
    {
        _setLimits(newChallengeDelay, newRefundDelay, newKeptRoots, newEpochCap);
    }

    /// Takes back spend that a stolen poster key attested. What roots already promise stays covered.
    function correctSpend(address publisher, uint256 spent) external onlyOwner {
        Publisher storage account = _publishers[publisher];
        require(spent < account.spent, BadParameter());
        uint256 covered = _pending.root == 0 ? total : _pending.total;
        uint256 sum = totalSpent - (account.spent - spent);
        require(sum >= covered, NotFunded(covered, sum));
        account.spent = spent.toUint104();
        totalSpent = sum.toUint104();
        emit SpendAttested(publisher, spent);
    }

    /// Without an owner a pause could never end.
    function renounceOwnership() public view override onlyOwner {
        revert BadParameter();
    }

    // ------------------------------------------------------------------------------------------------ views

    /// The pending root; all zero when there is none.
    function pending() external view returns (Pending memory) {
        return _pending;
    }

    function publisherOf(address publisher) external view returns (Publisher memory) {
        return _publishers[publisher];
    }

    /// Whether a proof that ends in `root` is accepted now.
    function isActive(bytes32 root) public view returns (bool) {
        uint256 epoch = epochOf[root];
        return epoch != 0 && epoch + keptRoots > activeEpoch;
    }

    function nonceUsed(address account, uint256 nonce) external view returns (bool) {
        return _usedNonces[account][nonce >> 8] & (1 << (nonce & 0xff)) != 0;
    }

    function leafOf(address account, uint256 cumulative) public pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(account, cumulative))));
    }

    function withdrawDigest(Withdraw calldata w) public view returns (bytes32) {
        return _digest(
            keccak256(
                abi.encode(WITHDRAW_TYPEHASH, w.account, w.to, w.amount, w.fee, w.relayer, w.nonce, w.deadline)
            )
        );
    }

    function depositNonce(bytes32 salt) public pure returns (bytes32) {
        return keccak256(abi.encode(DEPOSIT_TAG, salt));
    }

    function domainSeparator() public view returns (bytes32) {
        return keccak256(abi.encode(DOMAIN_TYPEHASH, NAME_HASH, VERSION_HASH, block.chainid, address(this)));
    }

    // ------------------------------------------------------------------------------------------------ inside

    function _digest(bytes32 structHash) private view returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(domainSeparator(), structHash);
    }

    function _unspent(Publisher storage account) private view returns (uint256) {
        return uint256(account.deposited) - account.refunded - account.spent;
    }

    function _credit(address publisher, uint256 amount) private {
        require(amount != 0, NothingToPay());
        Publisher storage account = _publishers[publisher];
        account.deposited = (uint256(account.deposited) + amount).toUint104();
        emit Deposited(publisher, amount);
    }

    function _attest(Spend[] calldata spends) private {
        for (uint256 i = 0; i < spends.length; ++i) {
            _raiseSpend(spends[i].publisher, spends[i].spent);
        }
    }

    function _raiseSpend(address publisher, uint256 spent) private {
        Publisher storage account = _publishers[publisher];
        require(spent >= account.spent, SpendDecreased(publisher));
        uint256 growth = spent - account.spent;
        require(growth <= _unspent(account), ExceedsUnspent(growth, _unspent(account)));
        account.spent = spent.toUint104();
        totalSpent = (uint256(totalSpent) + growth).toUint104();
        emit SpendAttested(publisher, spent);
    }

    function _refund(address publisher, uint256 amount) private {
        Publisher storage account = _publishers[publisher];
        require(amount <= _unspent(account), ExceedsUnspent(amount, _unspent(account)));
        account.refunded = (uint256(account.refunded) + amount).toUint104();
        emit Refunded(publisher, amount);
        token.safeTransfer(publisher, amount);
    }

    /// What the account has earned by this proof and not yet received. An older root than the latest pays less, never
    /// twice.
    function _claimable(address account, uint256 cumulative, bytes32[] calldata proof) private returns (uint256) {
        bytes32 root = MerkleProof.processProofCalldata(proof, leafOf(account, cumulative));
        if (!isActive(root)) {
            require(root == _pending.root, UnknownRoot(root));
            activate();
        }
        uint256 received = claimed[account];
        return cumulative > received ? cumulative - received : 0;
    }

    function _pay(address account, uint256 amount) private {
        claimed[account] += amount;
        uint256 sum = uint256(paid) + amount;
        require(sum <= total, ExceedsTotal());
        paid = sum.toUint104();
    }

    function _send(Withdraw calldata w, uint8 v, bytes32 r, bytes32 s) private {
        _useNonce(w.account, w.nonce);
        uint256 sum = w.amount + w.fee;
        require(sum != 0, NothingToPay());
        address relayer = _announce(w);
        IERC3009(address(token)).receiveWithAuthorization(
            w.account, address(this), sum, 0, w.deadline, withdrawDigest(w), v, r, s
        );
        _deliver(w, relayer);
    }

    function _announce(Withdraw calldata w) private returns (address relayer) {
        // Tokens sent to this contract by mistake would belong to nobody.
        require(w.to != address(this) && w.relayer != address(this), BadParameter());
        relayer = w.relayer == address(0) ? msg.sender : w.relayer;
        emit Withdrawn(w.account, w.to, w.amount, w.fee, relayer, w.nonce);
    }

    function _deliver(Withdraw calldata w, address relayer) private {
        if (w.amount != 0) token.safeTransfer(w.to, w.amount);
        if (w.fee != 0) token.safeTransfer(relayer, w.fee);
    }

    function _useNonce(address account, uint256 nonce) private {
        uint256 bit = 1 << (nonce & 0xff);
        uint256 word = _usedNonces[account][nonce >> 8];
        require(word & bit == 0, NonceUsed());
        _usedNonces[account][nonce >> 8] = word | bit;
    }

    function _setRoles(address newGuardian, address newPoster) private {
        require(newGuardian != address(0) && newPoster != address(0), BadParameter());
        guardian = newGuardian;
        poster = newPoster;
        emit RolesSet(newGuardian, newPoster);
    }

    function _setLimits(uint32 newChallengeDelay, uint32 newRefundDelay, uint16 newKeptRoots, uint256 newEpochCap)
        private
    {
        require(newKeptRoots != 0, BadParameter());
        challengeDelay = newChallengeDelay;
        refundDelay = newRefundDelay;
        keptRoots = newKeptRoots;
        epochCap = newEpochCap.toUint104();
        emit LimitsSet(newChallengeDelay, newRefundDelay, newKeptRoots, newEpochCap);
    }
}
