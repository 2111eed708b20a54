// Who is signed in, and what that role may do. The bridge decides; pages only leave out what it would refuse.

const RANK = { read: 0, operate: 1, admin: 2 };

let who = null;

export const signedIn = () => who;

export function setSignedIn(found) {
  who = found?.role ? found : null;
}

export const may = (role) => RANK[who?.role] >= RANK[role];
