export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export const count = (number, one, many = `${one}s`) => `${number.toLocaleString()} ${number === 1 ? one : many}`;

// What a message is: "Read /3/0/0".
export const named = (message) => (message.target ? `${message.operation} ${message.target}` : message.operation);
