// Reads {check: [...], build: [...]} from stdin, uses the independent npm package lora-packet, writes what it found.
// Run with lora-packet's node_modules on NODE_PATH.
const lp = require("lora-packet");
// decryptFOpts is the only one not exported at the top.
const { decryptFOpts } = require("lora-packet/out/lib/crypto");
const hex = (s) => Buffer.from(s, "hex");
const le16 = (n) => { const b = Buffer.alloc(2); b.writeUInt16LE(n); return b; };
const be16 = (n) => { const b = Buffer.alloc(2); b.writeUInt16BE(n); return b; };

// What a 1.1 MIC covers beyond the frame; lora-packet wants it big-endian for uplinks, as on air for downlinks.
function context(c) {
  if (!c.v1_1) return undefined;
  return c.uplink ? Buffer.concat([be16(c.conf_f_cnt), Buffer.from([c.data_rate, c.channel])]) : le16(c.conf_f_cnt);
}
// Its key arguments: B0's key first, then SNwkSIntKey.
function micKeys(c) {
  return c.v1_1 ? [hex(c.f_nwk_s_int_key), hex(c.s_nwk_s_int_key)] : [hex(c.f_nwk_s_int_key), undefined];
}

function check(c) {
  if (c.kind === "join_request") {
    const p = lp.fromWire(hex(c.wire));
    return { mic: lp.verifyMIC(p, null, hex(c.key)), join_eui: p.AppEUI.toString("hex"),
      dev_eui: p.DevEUI.toString("hex"), dev_nonce: p.DevNonce.readUInt16BE(0) };
  }
  if (c.kind === "keys") {
    const n = [hex(c.net_id), hex(c.join_nonce), hex(c.dev_nonce)];
    const old = lp.generateSessionKeys10(hex(c.app_key), n[0], n[1], n[2]);
    const now = lp.generateSessionKeys11(hex(c.app_key), hex(c.nwk_key), hex(c.join_eui), n[1], n[2]);
    const js = lp.generateJSKeys(hex(c.nwk_key), hex(c.dev_eui));
    return Object.fromEntries([["1.0", old], ["1.1", now], ["JS", js]].map(([k, v]) =>
      [k, Object.fromEntries(Object.entries(v).map(([name, key]) => [name, key.toString("hex")]))]));
  }
  const msb = le16(Math.floor(c.f_cnt / 65536));
  const p = lp.fromWire(hex(c.wire));
  const [first, second] = micKeys(c);
  const out = { mic: lp.verifyMIC(p, first, second, msb, context(c)), dev_addr: p.DevAddr.toString("hex"),
    f_cnt_16: p.FCnt.readUInt16BE(0), ack: p.getFCtrlACK(), adr: p.getFCtrlADR(), confirmed: p.isConfirmed(),
    direction: p.getDir(), f_port: p.getFPort() };
  out.f_opts = (c.v1_1 ? decryptFOpts(p, hex(c.nwk_s_enc_key), msb) : p.FOpts).toString("hex");
  out.payload = p.FRMPayload.length ? lp.decrypt(p, hex(c.app_s_key), hex(c.nwk_s_enc_key), msb).toString("hex") : "";
  return out;
}

function build(c) {
  if (c.kind === "join_request") {
    return lp.fromFields({ MType: "Join Request", AppEUI: hex(c.join_eui), DevEUI: hex(c.dev_eui),
      DevNonce: be16(c.dev_nonce) }, null, null, hex(c.key)).PHYPayload.toString("hex");
  }
  const msb = le16(Math.floor(c.f_cnt / 65536));
  const fields = { MType: (c.confirmed ? "Confirmed" : "Unconfirmed") + " Data " + (c.uplink ? "Up" : "Down"),
    DevAddr: hex(c.dev_addr), FCtrl: { ADR: c.adr, ACK: c.ack, ADRACKReq: c.adr_ack_req, FPending: c.f_pending },
    FCnt: be16(c.f_cnt % 65536), FPort: c.f_port, FOpts: hex(c.f_opts), payload: hex(c.payload) };
  const key = c.f_port === 0 ? hex(c.nwk_s_enc_key) : hex(c.app_s_key);
  const make = () => {
    const p = lp.fromFields(fields);
    p.FRMPayload = fields.payload.length ? lp.decrypt(p, key, key, msb) : Buffer.alloc(0);
    p._mergeGroupFields();
    return p;
  };
  if (c.v1_1 && fields.FOpts.length) fields.FOpts = decryptFOpts(make(), hex(c.nwk_s_enc_key), msb);
  const p = make();
  const [first, second] = micKeys(c);
  lp.recalculateMIC(p, first, second, msb, context(c));
  return p.PHYPayload.toString("hex");
}

let text = "";
process.stdin.on("data", (part) => { text += part; });
process.stdin.on("end", () => {
  const work = JSON.parse(text);
  process.stdout.write(JSON.stringify({ check: work.check.map(check), build: work.build.map(build) }));
});
