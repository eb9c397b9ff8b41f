"""Writes eth_account.json: addresses, EIP-55, EIP-712 digests, signatures and raw EIP-1559 transactions by eth-account
0.13.7 from PyPI (pure Python keys, no code shared with alloy or ethers). Run once by hand, with the package in a
virtual environment: python generate_eth_account.py > eth_account.json
"""

import json
import random

from eth_account import Account
from eth_account.messages import encode_typed_data, _hash_eip191_message
from eth_utils import to_checksum_address

random.seed(20261123)


def word(bits=256):
    return random.getrandbits(bits)


def address():
    return to_checksum_address("0x" + random.randbytes(20).hex())


def typed(domain, primary, fields, message, account):
    signable = encode_typed_data(domain, {primary: fields}, message)
    signed = account.sign_message(signable)
    signature = signed.r.to_bytes(32, "big") + signed.s.to_bytes(32, "big") + bytes([signed.v])
    return {"digest": "0x" + _hash_eip191_message(signable).hex(), "signature": "0x" + signature.hex()}


def field(name, kind):
    return {"name": name, "type": kind}


WITHDRAW = [
    field("account", "address"),
    field("to", "address"),
    field("amount", "uint256"),
    field("fee", "uint256"),
    field("relayer", "address"),
    field("nonce", "uint256"),
    field("deadline", "uint256"),
]
REFUND = [
    field("publisher", "address"),
    field("refunded", "uint256"),
    field("spent", "uint256"),
    field("deadline", "uint256"),
]
BIND = [
    field("nodeId", "bytes32"),
    field("payout", "address"),
    field("issuedAt", "uint256"),
    field("expiresAt", "uint256"),
    field("nonce", "uint256"),
]
RECEIVE = [
    field("from", "address"),
    field("to", "address"),
    field("value", "uint256"),
    field("validAfter", "uint256"),
    field("validBefore", "uint256"),
    field("nonce", "bytes32"),
]

cases = []
for i in range(24):
    key = random.randbytes(32)
    account = Account.from_key(key)
    chain_id = random.choice([1, 10, 8453, 31337, word(40)])
    token, distributor = address(), address()
    domain = {
        "name": "Hearth Distributor",
        "version": "1",
        "chainId": chain_id,
        "verifyingContract": distributor,
    }
    token_domain = {"name": "Ember", "version": "1", "chainId": chain_id, "verifyingContract": token}
    amount, fee = word(random.choice([8, 64, 104, 200])), word(random.choice([1, 60, 100]))
    relayer = None if i % 3 == 0 else address()
    withdraw = {
        "account": account.address,
        "to": address(),
        "amount": str(amount),
        "fee": str(fee),
        "relayer": relayer,
        "nonce": word(64),
        "deadline": word(48),
    }
    message = {
        **withdraw,
        "amount": amount,
        "fee": fee,
        "relayer": relayer or "0x" + "00" * 20,
    }
    signed_withdraw = typed(domain, "Withdraw", WITHDRAW, message, account)
    held = typed(
        token_domain,
        "ReceiveWithAuthorization",
        RECEIVE,
        {
            "from": account.address,
            "to": distributor,
            "value": amount + fee,
            "validAfter": 0,
            "validBefore": withdraw["deadline"],
            "nonce": bytes.fromhex(signed_withdraw["digest"][2:]),
        },
        account,
    )
    refunded, spent, deadline = word(90), word(90), word(40)
    voucher = {
        "publisher": address(),
        "refunded": str(refunded),
        "spent": str(spent),
        "deadline": deadline,
    }
    signed_voucher = typed(
        domain, "Refund", REFUND, {**voucher, "refunded": refunded, "spent": spent}, account
    )
    bind = {
        "node_id": "0x" + random.randbytes(32).hex(),
        "payout": account.address,
        "issued_at": word(40),
        "expires_at": word(40),
        "nonce": word(64),
    }
    signed_bind = typed(
        domain,
        "BindNode",
        BIND,
        {
            "nodeId": bytes.fromhex(bind["node_id"][2:]),
            "payout": bind["payout"],
            "issuedAt": bind["issued_at"],
            "expiresAt": bind["expires_at"],
            "nonce": bind["nonce"],
        },
        account,
    )
    recipient, value = address(), word(100)
    data = (
        bytes.fromhex("a9059cbb") + bytes(12) + bytes.fromhex(recipient[2:]) + value.to_bytes(32, "big")
    )
    tx = {
        "nonce": word(random.choice([1, 8, 30])),
        "gas_limit": word(24) + 21000,
        "max_fee_per_gas": word(40),
        "max_priority_fee_per_gas": word(30),
    }
    signed_tx = account.sign_transaction(
        {
            "type": 2,
            "chainId": chain_id,
            "nonce": tx["nonce"],
            "gas": tx["gas_limit"],
            "maxFeePerGas": tx["max_fee_per_gas"],
            "maxPriorityFeePerGas": tx["max_priority_fee_per_gas"],
            "to": token,
            "value": 0,
            "data": data,
        }
    )
    cases.append(
        {
            "key": "0x" + key.hex(),
            "address": account.address,
            "chain_id": chain_id,
            "token": token,
            "distributor": distributor,
            "withdraw": withdraw,
            "withdraw_signed": signed_withdraw,
            "held_signed": held,
            "voucher": voucher,
            "voucher_signed": signed_voucher,
            "bind": bind,
            "bind_signed": signed_bind,
            "transfer": {"to": recipient, "amount": str(value), **tx},
            "transfer_raw": "0x" + signed_tx.raw_transaction.hex(),
            "transfer_hash": "0x" + signed_tx.hash.hex(),
        }
    )
print(json.dumps({"made_with": "eth-account 0.13.7, eth-keys 0.8.0", "cases": cases}, indent=1))
