// For people: begins with a capital letter, without the value of a network's interface, as (FAILURE_TIMEOUT).
export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1).replace(/(?<=\w) \([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*\)/g, "");

export const count = (number, one, many = `${one}s`) => `${number.toLocaleString()} ${number === 1 ? one : many}`;

// What a message is: "Read /3/0/0".
export const named = (message) => (message.target ? `${message.operation} ${message.target}` : message.operation);
