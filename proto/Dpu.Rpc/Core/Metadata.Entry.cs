using System.Buffers;
using System.Text;

namespace Grpc.Core;

public sealed partial class Metadata
{
    /// <summary>One key with its text, or its bytes where the key ends with <c>-bin</c>. Immutable.</summary>
    public sealed class Entry
    {
        // PROTOCOL-HTTP2.md, Header-Name: 1*( %x30-39 / %x61-7A / "_" / "-" / "." ).
        private static readonly SearchValues<char> KeyCharacters =
            SearchValues.Create("0123456789abcdefghijklmnopqrstuvwxyz_-.");

        private readonly string? text;
        private readonly byte[]? bytes;

        /// <summary>Makes a text entry.</summary>
        /// <param name="key">Letters (taken in lower case), digits, '_', '-', '.'; not ending with <c>-bin</c>.</param>
        /// <param name="value">Printable ASCII (0x20 to 0x7E): nothing else crosses an HTTP/2 header safely.</param>
        /// <exception cref="ArgumentException">The key or the value can't be sent.</exception>
        public Entry(string key, string value)
        {
            ArgumentNullException.ThrowIfNull(value);
            Key = CheckedKey(key);
            if (IsBinary)
            {
                throw new ArgumentException($"The key '{Key}' ends with '{BinaryHeaderSuffix}', so its value must be bytes.", nameof(key));
            }

            if (value.AsSpan().ContainsAnyExceptInRange(' ', '~'))
            {
                throw new ArgumentException(
                    $"The value of '{Key}' has a character outside 0x20 to 0x7E; send it as bytes under a key that ends with '{BinaryHeaderSuffix}'.",
                    nameof(value));
            }

            text = value;
        }

        /// <summary>Makes a binary entry; the bytes are copied.</summary>
        /// <param name="key">As for text, but ending with <c>-bin</c>.</param>
        /// <param name="valueBytes">Any bytes.</param>
        /// <exception cref="ArgumentException">The key can't be sent, or doesn't end with <c>-bin</c>.</exception>
        public Entry(string key, byte[] valueBytes)
        {
            ArgumentNullException.ThrowIfNull(valueBytes);
            Key = CheckedKey(key);
            if (!IsBinary)
            {
                throw new ArgumentException($"The value of '{Key}' is bytes, so its key must end with '{BinaryHeaderSuffix}'.", nameof(key));
            }

            bytes = (byte[])valueBytes.Clone();
        }

        private Entry(string key, string? text, byte[]? bytes)
        {
            Key = key;
            this.text = text;
            this.bytes = bytes;
        }

        /// <summary>The key, in lower case.</summary>
        public string Key { get; }

        /// <summary>Whether the value is bytes.</summary>
        public bool IsBinary => Key.EndsWith(BinaryHeaderSuffix, StringComparison.Ordinal);

        /// <summary>The text.</summary>
        /// <exception cref="InvalidOperationException">The entry is binary.</exception>
        public string Value => text ?? throw new InvalidOperationException($"The entry '{Key}' is binary: read ValueBytes.");

        /// <summary>A copy of the bytes, or the text's ASCII bytes.</summary>
        public byte[] ValueBytes => bytes is null ? Encoding.ASCII.GetBytes(text!) : (byte[])bytes.Clone();

        /// <summary>The bytes themselves, for the encoder.</summary>
        internal ReadOnlySpan<byte> RawBytes => bytes;

        /// <inheritdoc/>
        public override string ToString() =>
            $"[Entry: key={Key}, {(bytes is null ? $"value={text}" : $"valueBytes={Convert.ToHexString(bytes)}")}]";

        /// <summary>A received text: it is kept as it came, whatever it holds.</summary>
        internal static Entry Received(string lowerCaseKey, string value) => new(lowerCaseKey, value, null);

        /// <summary>A received binary value; the array now belongs to the entry.</summary>
        internal static Entry Received(string lowerCaseKey, byte[] value) => new(lowerCaseKey, null, value);

        internal bool HasKey(string key) => string.Equals(Key, key, StringComparison.OrdinalIgnoreCase);

        private static string CheckedKey(string key)
        {
            ArgumentException.ThrowIfNullOrEmpty(key);
            string lower = key.ToLowerInvariant();
            return lower.AsSpan().ContainsAnyExcept(KeyCharacters)
                ? throw new ArgumentException($"The metadata key '{key}' has a character other than letters, digits, '_', '-' and '.'.", nameof(key))
                : lower;
        }
    }
}
